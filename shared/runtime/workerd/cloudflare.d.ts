/** What workerd gives to every module; the rest of it is not used. */
declare module "cloudflare:workers" {
  /** Lets work go on after the request that began it has ended, for 30 s at most. */
  export function waitUntil(work: Promise<unknown>): void;
}
