// Whole records for the model: where one starts, what is set in it, and what follows from that.

// values of the page's file have fewer digits than those of records and stand for the same float32
const key = (values) => JSON.stringify(values.map((value) => (typeof value === "number" ? Math.fround(value) : value)));

const tables = new WeakMap();

function tableOf(follow) {
  if (!tables.has(follow)) {
    tables.set(follow, new Map(follow.values.map((row) => [key(row.slice(0, -1)), row.at(-1)])));
  }
  return tables.get(follow);
}

/**
 * The record that has the values of `given`, what follows from those that differ from `start`, and else those of `start`;
 * and the rules of which no row of the training data has the combination: what follows by them stays as it was.
 */
export function recordOf(about, start, given) {
  const record = { ...start, ...given };
  const unseen = [];
  const differs = (rule) => rule.of.some((name) => record[name] !== start[name]);
  for (const follow of about.follows.filter((rule) => !Object.hasOwn(given, rule.feature))) {
    if (!differs(follow)) continue;
    const table = tableOf(follow);
    const combination = key(follow.of.map((name) => record[name]));
    if (table.has(combination)) record[follow.feature] = table.get(combination);
    else unseen.push(follow);
  }
  for (const sum of about.sums.filter((rule) => !Object.hasOwn(given, rule.feature))) {
    const parts = sum.of.map((name) => record[name]);
    if (!differs(sum) || parts.includes(null)) continue;
    const total = parts.reduce((one, other) => one + other, 0);
    record[sum.feature] = about.byName.get(sum.feature).kind === "clock" ? ((total % 1440) + 1440) % 1440 : total;
  }
  return { record, unseen };
}
