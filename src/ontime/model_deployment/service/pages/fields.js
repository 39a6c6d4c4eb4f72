// The form: an input for each feature that is asked, with its label, help, and what is wrong with its value.

import { numberOf, readable, textOf } from "./values.js";

const INPUT_TYPES = { number: "number", clock: "time", moment: "datetime-local" };
const WANTED = { number: "Enter a number.", clock: "Enter a time.", moment: "Enter a date and a time." };

function element(name, attributes = {}, text = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** One field of the form; `value` throws an Error in words if the input holds none. */
class Field {
  constructor(feature, id, input) {
    this.feature = feature;
    this.input = input;
    this.element = element("div", { class: "field" });
    const label = element("label", { for: id }, feature.title);
    if (feature.unit) label.append(element("span", { class: "unit" }, ` (${feature.unit})`));
    this.problem = element("p", { class: "problem", id: `${id}-problem` });
    this.note = element("p", { class: "note", id: `${id}-note` });
    const help = element("p", { class: "help", id: `${id}-help` }, feature.description);
    input.id = id;
    input.setAttribute("aria-describedby", `${id}-problem ${id}-note ${id}-help`);
    this.element.append(label, input, this.problem, this.note, help);
  }

  /** Show what is wrong; with an empty text, nothing. */
  tell(problem) {
    this.problem.textContent = problem;
    if (problem) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

class ChoiceField extends Field {
  constructor(feature, id) {
    super(feature, id, element("select"));
    this.values = [];
    for (const choice of feature.choices) this.add(choice.value);
    if (feature.may_be_missing) this.add(null);
  }

  add(value) {
    this.input.add(new Option(readable(this.feature, value), String(this.values.length)));
    return this.values.push(value) - 1;
  }

  set value(value) {
    const found = this.values.indexOf(value);
    this.input.value = String(found < 0 ? this.add(value) : found);
  }

  get value() {
    return this.values[Number(this.input.value)];
  }

  get queryText() {
    return String(this.value ?? "");
  }

  set queryText(text) {
    const found = this.values.find((value) => String(value ?? "") === text);
    const isText = this.feature.choices.every((choice) => typeof choice.value === "string");
    if (found !== undefined) this.value = found;
    else if (isText && text) this.value = text;
  }
}

class TextField extends Field {
  constructor(feature, id) {
    super(feature, id, element("textarea", { rows: "4" }));
    this.input.required = !feature.may_be_missing;
  }

  set value(value) {
    this.input.value = value ?? "";
  }

  get value() {
    if (this.input.value) return this.input.value;
    if (this.feature.may_be_missing) return null;
    throw new Error("A value is needed. Enter a text.");
  }

  get queryText() {
    return this.input.value;
  }

  set queryText(text) {
    this.input.value = text;
  }
}

class NumberField extends Field {
  constructor(feature, id) {
    super(feature, id, element("input", { type: INPUT_TYPES[feature.kind] }));
    this.whole = null;
    if (feature.kind === "number") {
      this.input.step = feature.whole ? "1" : "any";
      this.input.inputMode = feature.minimum < 0 ? "text" : feature.whole ? "numeric" : "decimal";
    }
    if (feature.minimum !== null) {
      this.input.min = textOf(feature, feature.minimum);
      this.input.max = textOf(feature, feature.maximum);
    }
    this.input.required = !feature.may_be_missing;
  }

  set value(value) {
    this.whole = value;
    this.input.value = textOf(this.feature, value);
  }

  get value() {
    const text = this.input.value;
    this.note.textContent = "";
    if (this.input.validity.badInput) throw new Error(WANTED[this.feature.kind]);
    if (!text) {
      if (this.feature.may_be_missing) return null;
      throw new Error(`A value is needed. ${WANTED[this.feature.kind]}`);
    }
    // a text that is shorter than its value stands for the whole value
    const whole = this.whole !== null && text === textOf(this.feature, this.whole);
    const value = whole ? this.whole : numberOf(this.feature, text);
    const { minimum, maximum } = this.feature;
    if (minimum !== null && (value < minimum || value > maximum)) {
      const range = `${readable(this.feature, minimum)} to ${readable(this.feature, maximum)}`;
      this.note.textContent = `The model has only seen ${range}.`;
    }
    return value;
  }

  get queryText() {
    return this.feature.kind === "number" ? this.input.value : String(this.value ?? "");
  }

  set queryText(text) {
    if (this.feature.kind === "number" || !text) this.input.value = text;
    else if (Number.isFinite(Number(text))) this.value = Number(text);
  }
}

/** The field of a feature. */
export function makeField(feature, position) {
  const id = `field-${position}`;
  const Kind = { choice: ChoiceField, text: TextField }[feature.kind] ?? NumberField;
  return new Kind(feature, id);
}
