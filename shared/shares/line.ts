// Items in the order in which they came, of which any may leave. A Map and a Set keep the places of those that left until they grow: to
// take the first of 100,000 again and again would take seconds.

export interface Link<T> {
  readonly item: T;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

export class Line<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;

  get first(): T | undefined {
    return this.#first?.item;
  }
  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  /** Adds an item at the end. With the returned link it leaves. */
  add(item: T): Link<T> {
    const link: Link<T> = { item, before: this.#last, after: undefined };
    if (this.#last === undefined) this.#first = link;
    else this.#last.after = link;
    this.#last = link;
    return link;
  }

  /** Once for each link. What stands at it goes on after it. */
  remove({ before, after }: Link<T>): void {
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
  }

  /** Shows the items until `visit` says true; whether it did. Items may leave meanwhile. */
  some(visit: (item: T) => boolean): boolean {
    for (let link = this.#first; link !== undefined; link = link.after) if (visit(link.item)) return true;
    return false;
  }
}
