// What the benches print: Markdown tables, as they stand in docs/measured.md.

export function table(columns: readonly string[]): void {
  console.log(`\n| ${columns.join(" | ")} |\n| --- |${" ---: |".repeat(columns.length - 1)}`);
}

/** Prints one row. Figures have three digits; NaN makes an empty cell. */
export function row(name: string, ...figures: readonly number[]): void {
  console.log(`| ${[name, ...figures.map(written)].join(" | ")} |`);
}

function written(figure: number): string {
  if (Number.isNaN(figure)) return "";
  return figure >= 100 ? Math.round(figure).toLocaleString("en") : figure.toPrecision(3);
}
