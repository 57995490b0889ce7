/** Texts that are no time of WIRE §5: of another form, or of a day or an hour that does not exist. */
export const WRONG_TIMES: readonly string[] = [
  "",
  "now",
  "1700000000",
  "2026-11-21",
  "2026-11-21T10:30:00",
  "2026-11-21 10:30:00Z",
  "2026-11-21T10:30:00.1234567890Z",
  "2026-11-21T10:30:00z",
  "2026-13-21T10:30:00Z",
  "2026-11-21T25:30:00Z",
  "2026-11-31T10:30:00Z",
  "2026-02-29T10:30:00Z",
  "2026-11-00T10:30:00Z",
  " 2026-11-21T10:30:00Z",
  "2026-11-21T10:30:00Z\n",
];
