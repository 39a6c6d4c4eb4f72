// How the values of a feature are written in its input, read from there, and told to people.

const DAY = 86_400_000;
/** Characters of a text in a sentence. */
const MOST_SHOWN = 60;
const two = (number) => String(number).padStart(2, "0");

/** A number with as many digits as an input needs, and with as many as a sentence does. */
const digits = (number) => String(Number(number.toPrecision(6)));
const fewDigits = (number) => digits(Number(Math.abs(number) < 1000 ? number.toPrecision(3) : Math.round(number)));

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Whether the model answers with a probability and decides by a threshold. */
export const decides = (about) => about.threshold !== null;

/** Whether the model answers with the probability of each class; else, if it does not decide, with a number. */
export const hasClasses = (about) => about.classes.length > 0;

/** Whether what moves an answer is told in percentage points. */
export const inPoints = (about) => decides(about) || hasClasses(about);

/** The classes with their probabilities, the most probable first. */
export const ranked = (about, answer) =>
  about.classes.map((name, place) => [name, answer[place]]).sort((one, other) => other[1] - one[1]);

/** An answer of the model as a person reads it. */
export function answerText(about, answer) {
  if (hasClasses(about)) return percent(Math.max(...answer));
  return decides(about) ? percent(answer) : fewDigits(answer);
}

/** The text of an input for a value; empty where it is missing. */
export function textOf(feature, value) {
  if (value === null) return "";
  if (feature.kind === "clock") {
    const minutes = ((Math.round(value) % 1440) + 1440) % 1440;
    return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
  }
  if (feature.kind === "moment") {
    const moment = new Date(value * DAY);
    return Number.isNaN(moment.getTime()) ? "" : moment.toISOString().slice(0, 16);
  }
  return digits(value);
}

/** The number that the text of an input stands for, as the model takes it. */
export function numberOf(feature, text) {
  let number = Number(text);
  if (feature.kind === "clock") {
    const [hours, minutes] = text.split(":").map(Number);
    number = 60 * hours + minutes;
  }
  if (feature.kind === "moment") number = Date.parse(`${text}Z`) / DAY;
  const rounded = Math.fround(number);
  // the service says what is wrong with a number that is too large
  return Number.isFinite(rounded) ? rounded : number;
}

/** A value as a person reads it in a sentence. */
export function readable(feature, value) {
  if (value === null) return "not known";
  if (feature.kind === "choice") {
    return feature.choices.find((choice) => choice.value === value)?.label ?? String(value);
  }
  if (feature.kind === "text") return value.length > MOST_SHOWN ? `${value.slice(0, MOST_SHOWN)}…` : value;
  if (feature.kind === "clock") return textOf(feature, value);
  if (feature.kind === "moment") return `${textOf(feature, value).replace("T", " ")} UTC`;
  const text = Number.isInteger(value) ? digits(value) : fewDigits(value);
  return feature.unit ? `${text} ${feature.unit}` : text;
}
