// Typing errors in the names of classes, by the rule of embedpipe/labelling/class_names.py.

const [ONE_EDIT, TWO_EDITS] = [4, 8];  // minimum lengths of names that may differ by one and by two edits

const folded = (name) => name.normalize("NFC").toLowerCase().trim();
const joined = (name) => name.replace(/[^\p{L}\p{N}]/gu, "");
const withoutDigits = (name) => name.replace(/\p{Nd}/gu, "");

// The number of inserted, removed, replaced or swapped letters between two texts.
function edits(one, other) {
  let before = [];
  let above = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1];
      let least = Math.min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      if (swapped) least = Math.min(least, before[column - 2] + 1);
      line.push(least);
    }
    [before, above] = [above, line];
  }
  return above.at(-1);
}

// The class of which a new name may be a misspelling, or undefined.
export function similarClass(name, names) {
  const wanted = folded(name);
  const same = names.find((each) => folded(each) === wanted);
  if (same !== undefined) return same;
  const letters = [...wanted];
  const most = (letters.length >= ONE_EDIT) + (letters.length >= TWO_EDITS);
  const near = names.filter((each) => withoutDigits(folded(each)) !== withoutDigits(wanted))
    .map((each) => ({ each, count: edits(letters, [...folded(each)]), other: joined(folded(each)) !== joined(wanted) }))
    .filter(({ count }) => count <= most);
  return near.sort((one, two) => one.other - two.other || one.count - two.count)[0]?.each;
}
