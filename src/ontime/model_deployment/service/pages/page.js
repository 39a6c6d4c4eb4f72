"use strict";

const REASONS = 3;
const show = (id, text) => { document.getElementById(id).textContent = text; };
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const shown = (value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value) ?? "";
const words = (name) => name.replaceAll("_", " ");

async function predict(about, instances) {
  const response = await fetch(`v1/models/${encodeURIComponent(about.name)}:predict`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ instances }),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer.predictions;
}

function field(feature, given) {
  const label = document.createElement("label");
  label.append(words(feature.name));
  let input;
  if (feature.type === "category") {
    input = document.createElement("select");
    for (const value of [...feature.values].sort()) input.add(new Option(value, value));
    if (feature.may_be_missing) input.add(new Option("not known", ""));
  } else {
    input = document.createElement("input");
    input.type = "number";
    input.step = "any";
    input.required = !feature.may_be_missing;
  }
  input.name = feature.name;
  input.value = given ?? shown(feature.typical);
  label.append(input);
  return label;
}

function valueOf(feature, form) {
  const text = form.elements[feature.name].value;
  if (text === "") return null;
  if (feature.type === "category") return text;
  const number = Math.fround(Number(text));
  // the service says what is wrong with a number that is too large
  return Number.isFinite(number) ? number : Number(text);
}

async function update(about, form) {
  show("error", "");
  const typical = Object.fromEntries(about.features.map((feature) => [feature.name, feature.typical]));
  const asked = about.features.filter((feature) => about.page_features.includes(feature.name));
  const record = { ...typical, ...Object.fromEntries(asked.map((feature) => [feature.name, valueOf(feature, form)])) };
  const changed = asked.filter(({ name }) => shown(record[name]) !== shown(typical[name]));
  const without = changed.map((feature) => ({ ...record, [feature.name]: typical[feature.name] }));
  const [probability, average, ...others] = await predict(about, [record, typical, ...without]);
  show("probability", percent(probability));
  show("typical", percent(average));
  const decided = probability >= about.threshold ? "Announce the event" : "Do not announce the event";
  show("decision", `${decided} (threshold ${percent(about.threshold)})`);
  const reasons = changed
    .map((feature, index) => ({ feature, moved: probability - others[index] }))
    .sort((one, other) => Math.abs(other.moved) - Math.abs(one.moved))
    .slice(0, REASONS);
  const rows = reasons.map(({ feature, moved }) => {
    const row = document.createElement("tr");
    row.insertCell().textContent = `${words(feature.name)}: ${shown(record[feature.name]) === "" ? "not known" : shown(record[feature.name])}`;
    const cell = row.insertCell();
    cell.textContent = `${moved < 0 ? "−" : "+"}${(100 * Math.abs(moved)).toFixed(1)} points`;
    cell.className = moved < 0 ? "less" : "more";
    return row;
  });
  document.getElementById("reasons").replaceChildren(...rows);
  const query = new URLSearchParams(changed.map((feature) => [feature.name, shown(record[feature.name])]));
  history.replaceState(null, "", changed.length ? `?${query}` : location.pathname);
}

async function start() {
  const about = await (await fetch("page.json")).json();
  document.title = about.name;
  show("name", about.name);
  show("version", `version ${about.version}, commit ${about.git_commit.slice(0, 12)}`);
  const form = document.getElementById("form");
  const byName = Object.fromEntries(about.features.map((feature) => [feature.name, feature]));
  const given = new URLSearchParams(location.search);
  form.append(...about.page_features.map((name) => field(byName[name], given.get(name))));
  const refresh = () => update(about, form).catch((error) => show("error", error.message));
  form.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => event.preventDefault());
  await refresh();
}

start().catch((error) => show("error", error.message));
