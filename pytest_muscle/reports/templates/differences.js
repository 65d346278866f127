const MOST_WORDS = 800;

// Marks the words of a text that are not in the longest common subsequence with another text.
function markWords(text, other) {
  const words = text.match(/\s+|[^\s]+/g) ?? [], others = other.match(/\s+|[^\s]+/g) ?? [];
  if (words.length > MOST_WORDS || others.length > MOST_WORDS) return [text];
  const lengths = Array.from({ length: words.length + 1 }, () => new Uint16Array(others.length + 1));
  for (let i = words.length - 1; i >= 0; i--) {
    for (let j = others.length - 1; j >= 0; j--) {
      lengths[i][j] = words[i] === others[j]
        ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const differs = [];
  let j = 0;
  words.forEach((word, i) => {
    while (j < others.length && word !== others[j] && lengths[i][j] === lengths[i][j + 1]) j++;
    const same = j < others.length && word === others[j];
    if (same) j++;
    differs.push(!same && word.trim() !== "");
  });
  // Spaces between words that differ are marked with them, so that a phrase is one mark.
  return words.reduce((parts, word, i) => {
    const marked = differs[i] || (!word.trim() && differs[i - 1] && differs[i + 1]);
    const last = parts.at(-1);
    if (!marked) parts.push(word);
    else if (last?.tagName === "MARK") last.append(word);
    else parts.push(element("mark", word));
    return parts;
  }, []);
}
