// Times as requesters write them (WIRE §2, §5).

/** ISO-8601 with 0–9 fraction digits and `Z` or an offset. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/;

/** Whether a text has the form of a time; the time need not exist. */
export function isIsoTime(text: string): boolean {
  return ISO_TIME.test(text);
}

/** ms since 1970; NaN if the text has another form, or if the time does not exist. Fractions of a millisecond are dropped. */
export function parseIsoTime(text: string): number {
  if (!isIsoTime(text)) return NaN;
  const normal = text.replace(",", ".").replace(/(\.\d{3})\d+/, "$1").replace(/([+-]\d{2})(\d{2})$/, "$1:$2");
  // Date.parse takes the 30th of February for the 2nd of March.
  const day = Number(text.slice(8, 10));
  const lastDay = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  return day > lastDay ? NaN : Date.parse(normal);
}
