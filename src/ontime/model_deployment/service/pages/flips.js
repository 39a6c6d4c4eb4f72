// Which other value of a feature, alone and with what follows from it, would change the decision.

import { recordOf } from "./records.js";
import { predict } from "./service.js";
import { readable } from "./values.js";

const MOST_ROWS = 4096;

/** At most so many of a list, at equal steps. */
function some(list, most) {
  const step = Math.max(1, list.length / most);
  return Array.from({ length: Math.min(list.length, most) }, (_, index) => list[Math.floor(index * step)]);
}

function variantsOf(about, start, given, record, name, most) {
  const feature = about.byName.get(name);
  const values = feature.kind === "choice" ? feature.choices.map((choice) => choice.value) : feature.candidates;
  return some(values.filter((value) => value !== record[name]), most)
    .map((value) => ({ value, ...recordOf(about, start, { ...given, [name]: value }) }))
    .filter(({ unseen }) => !unseen.some((rule) => rule.of.includes(name)));
}

/** How far a value is from the record's: in the number, or in the probability where values have no distance. */
function distance(about, record, name, variant, probability) {
  const near = about.byName.get(name).kind !== "choice" && record[name] !== null;
  return near ? Math.abs(variant.value - record[name]) : Math.abs(variant.probability - probability);
}

/** For each feature the nearest value that changes the decision, or undefined: one request for all of them. */
export async function flips(about, start, given, record, probability, names) {
  const most = Math.floor(MOST_ROWS / Math.max(1, names.length));
  const variants = names.map((name) => variantsOf(about, start, given, record, name, most));
  const records = variants.flat().map((variant) => variant.record);
  const answers = records.length ? await predict(about, records) : [];
  let position = 0;
  for (const variant of variants.flat()) variant.probability = answers[position++];
  const decided = probability >= about.threshold;
  return names.map((name, index) =>
    variants[index]
      .filter((variant) => variant.probability >= about.threshold !== decided)
      .map((variant) => [distance(about, record, name, variant, probability), variant.value])
      .reduce((one, other) => (one && one[0] <= other[0] ? one : other), undefined)?.[1],
  );
}

/** A sentence for each feature. */
export function sentences(about, record, names, values) {
  return names.map((name, index) => {
    const feature = about.byName.get(name);
    const value = values[index];
    const item = document.createElement("li");
    item.textContent =
      value === undefined
        ? `${feature.title}: no other value alone changes the decision.`
        : `${feature.title}: ${readable(feature, value)} instead of ${readable(feature, record[name])}.`;
    return item;
  });
}
