// Requests to the service. Its answers are relative to the page, so that both work behind a path of a proxy.

const SILENT = "The service does not answer. Try again in a moment.";
const BUSY = "The service is busy. Try again in a moment.";

/** A refusal in words; `feature` is what it is about, if it is about one. */
export class Refusal extends Error {
  constructor(message, feature = null) {
    super(message);
    this.feature = feature;
  }
}

async function post(about, verb, content) {
  try {
    const response = await fetch(`v1/models/${encodeURIComponent(about.name)}:${verb}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(content),
    });
    return [response.status, await response.json()];
  } catch {
    throw new Refusal(SILENT);
  }
}

function refusal(about, status, answer) {
  if (status === 429) return new Refusal(BUSY);
  const message = String(answer?.error ?? SILENT);
  const feature = about.features.find(({ name }) => message.startsWith(`${name}: row `));
  return feature
    ? new Refusal(message.slice(feature.name.length + 2).replace(/^row \d+: /, ""), feature.name)
    : new Refusal(message);
}

/** The probability of each record; sent as columns, which name each feature once. */
export async function predict(about, records) {
  const columns = about.features.map(({ name }) => [name, records.map((record) => record[name])]);
  const [status, answer] = await post(about, "predict", { inputs: Object.fromEntries(columns) });
  if (status !== 200) throw refusal(about, status, answer);
  return answer.outputs;
}

/** What moved the probability of a record: its `margin` on a `scale`, and the contribution of each feature to that. */
export async function explain(about, record) {
  const [status, answer] = await post(about, "explain", { instances: [record] });
  if (status !== 200) throw refusal(about, status, answer);
  return answer.explanations[0];
}
