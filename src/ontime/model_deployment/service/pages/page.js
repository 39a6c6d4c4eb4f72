// The page: builds the form from page.json, and shows the model's answer to what is filled in.

import { makeField } from "./fields.js";
import { flips, sentences } from "./flips.js";
import { bars, classBars, strongest } from "./reasons.js";
import { recordOf } from "./records.js";
import { explain, predict, Refusal } from "./service.js";
import { answerText, decides, hasClasses, inPoints, percent, ranked, readable } from "./values.js";

const PAUSE = 200;
const START = "#example-";
const get = (id) => document.getElementById(id);
const show = (id, text) => { get(id).textContent = text; };

function list(id, texts) {
  get(id).replaceChildren(...texts.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

/** The values of the form by feature, and what is wrong with them. */
function valuesOf(fields) {
  const problems = [];
  const given = {};
  for (const field of fields) {
    try {
      given[field.feature.name] = field.value;
      field.tell("");
    } catch (error) {
      field.tell(error.message);
      problems.push(`${field.feature.title}: ${error.message}`);
    }
  }
  return { given, problems };
}

function tellUnseen(about, record, unseen) {
  const told = new Map();
  const inWords = (name) => `${about.byName.get(name).title} ${readable(about.byName.get(name), record[name])}`;
  for (const { feature, of } of unseen) {
    const combination = of.map(inWords).join(", ");
    told.set(combination, [...(told.get(combination) ?? []), inWords(feature)]);
  }
  show("unseen", [...told].map(([combination, unchanged]) =>
    `The model has never seen this: ${combination}. Unchanged: ${unchanged.join(", ")}.`).join(" "));
}

function tellFollowers(about, record) {
  const rules = [...about.follows, ...about.sums];
  get("followers").hidden = !rules.length;
  list("follows", rules.map(({ feature }) => {
    const found = about.byName.get(feature);
    return `${found.title}: ${readable(found, record[feature])}`;
  }));
}

function tellAnswer(about, answer) {
  show("probability", answerText(about, answer));
  if (hasClasses(about)) {
    const classes = ranked(about, answer);
    show("decision", `${about.texts.prediction}: ${classes[0][0]}`);
    get("classes").replaceChildren(...classBars(classes));
  }
  if (!decides(about)) return;
  const { event, no_event: noEvent } = about.texts;
  show("decision", answer >= about.threshold ? event : noEvent);
  get("level").style.width = percent(answer).replace(" ", "");
}

/** Without an answer, none may be left of what was asked before. */
function tellNoAnswer(problem) {
  show("problem", problem);
  show("decision", "");
  show("probability", "–");
  get("level").style.width = 0;
  get("why").hidden = true;
}

function remember(form) {
  const changed = form.fields.filter((field) => field.value !== form.start[field.feature.name]);
  const query = new URLSearchParams(changed.map((field) => [field.feature.name, field.queryText]));
  const number = form.about.starts.indexOf(form.start);
  const address = location.pathname + (changed.length ? `?${query}` : "") + (number ? `${START}${number}` : "");
  history.replaceState(null, "", address);
}

function tellRefusal(form, error) {
  if (!(error instanceof Refusal)) {
    tellNoAnswer("The page has a fault. Load it again.");
    throw error;
  }
  const feature = form.about.byName.get(error.feature);
  form.fields.find((field) => field.feature === feature)?.tell(error.message);
  tellNoAnswer(feature ? `${feature.title}: ${error.message}` : error.message);
}

/** Ask the model about the form as it is, unless the form changes before the answer comes. */
async function update(form) {
  const { about, start, fields } = form;
  const mine = (form.latest = {});
  const latest = () => form.latest === mine;
  const { given, problems } = valuesOf(fields);
  if (problems.length) {
    tellNoAnswer(problems.join(" "));
    return;
  }
  const { record, unseen } = recordOf(about, start, given);
  try {
    tellUnseen(about, record, unseen);
    tellFollowers(about, record);
    const [answer] = await predict(about, [record]);
    if (!latest()) return;
    show("problem", "");
    tellAnswer(about, answer);
    remember(form);
    const reasons = strongest(about, await explain(about, record));
    // of a text there are no other values to try
    const names = reasons.map(({ name }) => name).filter((name) => about.byName.get(name).kind !== "text");
    const values = decides(about) ? await flips(about, start, given, record, answer, names) : [];
    if (!latest()) return;
    get("reasons").replaceChildren(...bars(about, record, reasons));
    get("flips").replaceChildren(...(decides(about) ? sentences(about, record, names, values) : []));
    if (!reasons.length) list("reasons", ["No value moves it by much."]);
    get("other").hidden = !names.length || !decides(about);
    get("why").hidden = false;
  } catch (error) {
    if (latest()) tellRefusal(form, error);
  }
}

/** Fill the form with the values of a start. */
function fill(form, number) {
  form.start = form.about.starts[number] ?? form.about.starts[0];
  get("start").value = String(form.about.starts.indexOf(form.start));
  for (const field of form.fields) field.value = form.start[field.feature.name];
}

function tellAbout(about) {
  const { texts } = about;
  document.title = texts.question;
  show("question", texts.question);
  const name = hasClasses(about) ? "Its probability" : decides(about) ? texts.probability : texts.prediction;
  show("probability-name", `${name}:`);
  if (decides(about)) {
    show("threshold", `The decision changes at ${percent(about.threshold)}.`);
    get("mark").style.left = percent(about.threshold).replace(" ", "");
  }
  get("scale").hidden = !decides(about);
  get("each").hidden = !hasClasses(about);
  const said = inPoints(about) ? "probability" : "number";
  show("reasons-help", `How far a value moves the ${said} from that of an average ${texts.record}. `
    + "The effect of a value that follows from others is shared equally among those.");
  show("model", `Model ${about.name}, ${about.version ? `version ${about.version}` : "not released yet"}.`);
  about.starts.forEach((_, number) => {
    get("start").add(new Option(number ? `Example ${number}` : `A typical ${texts.record}`, String(number)));
  });
}

async function open() {
  const about = await (await fetch("page.json")).json();
  about.byName = new Map(about.features.map((feature) => [feature.name, feature]));
  tellAbout(about);
  const form = { about, fields: about.asked.map((name, position) => makeField(about.byName.get(name), position)) };
  get("fields").append(...form.fields.map((field) => field.element));
  fill(form, Number(location.hash.startsWith(START) ? location.hash.slice(START.length) : 0));
  for (const [name, text] of new URLSearchParams(location.search)) {
    const field = form.fields.find(({ feature }) => feature.name === name);
    if (field) field.queryText = text;
  }
  let waiting;
  get("fields").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(update, PAUSE, form);
  });
  get("start").addEventListener("change", (event) => {
    fill(form, Number(event.target.value));
    update(form);
  });
  get("form").addEventListener("submit", (event) => event.preventDefault());
  await update(form);
}

open().catch(() => show("problem", "The page could not be loaded. Try again in a moment."));
