// .dockerignore: which files the build sees.

/** Whether a file of the context is left out. The last line that matches it, or a folder it is in, decides. */
export function createIgnored(text: string): (path: string) => boolean {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#"));
  const rules = lines.map((line) => ({
    keeps: line.startsWith("!"),
    pattern: patternOf(line.replace(/^!/, "").replace(/^\/|\/$/g, "")),
  }));
  return (path) => rules.reduce((ignored, { keeps, pattern }) => pattern.test(path) ? !keeps : ignored, false);
}

function patternOf(glob: string): RegExp {
  const written = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*\*\/?|\*|\?/g, (wildcard) => wildcard === "*" ? "[^/]*" : wildcard === "?" ? "[^/]" : ".*");
  return new RegExp(`^${written}(?:/.*)?$`);
}
