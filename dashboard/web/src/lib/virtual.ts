// Heights of a long list of which only a window is drawn. Rows have an estimated height until they were measured;
// sums are kept in a Fenwick tree, so finding a row by pixel and measuring one are both logarithmic.

export class Heights {
  #estimate: number;
  #count = 0;
  #measured = new Map<number, number>();
  /** Fenwick tree over the differences between measured and estimated heights. */
  #tree: Float64Array = new Float64Array(1024);

  constructor(estimate: number) {
    this.#estimate = estimate;
  }

  get count(): number {
    return this.#count;
  }

  get total(): number {
    return this.offset(this.#count);
  }

  /** Starts again, with all heights unknown. */
  reset(count: number, estimate: number): void {
    this.#estimate = estimate;
    this.#measured.clear();
    this.#tree = new Float64Array(1024);
    this.#count = 0;
    this.resize(count);
  }

  /** Rows were added at (or taken from) the end. */
  resize(count: number): void {
    for (const row of [...this.#measured.keys()]) if (row >= count) this.set(row, this.#estimate);
    this.#count = count;
    if (count + 1 > this.#tree.length) {
      // A Fenwick tree can't just be lengthened: the new inner nodes cover old rows as well.
      const known = [...this.#measured];
      this.#tree = new Float64Array(2 ** Math.ceil(Math.log2(count + 2)));
      this.#measured.clear();
      for (const [row, height] of known) this.set(row, height);
    }
  }

  /** Notes a measured height. True when it changes anything. */
  set(row: number, height: number): boolean {
    const before = this.#measured.get(row) ?? this.#estimate;
    if (Math.abs(before - height) < 0.5) return false;
    if (height === this.#estimate) this.#measured.delete(row);
    else this.#measured.set(row, height);
    for (let node = row + 1; node < this.#tree.length; node += node & -node) this.#tree[node] = (this.#tree[node] ?? 0) + height - before;
    return true;
  }

  /** Where a row begins, in pixels from the top. */
  offset(row: number): number {
    let sum = row * this.#estimate;
    for (let node = row; node > 0; node -= node & -node) sum += this.#tree[node] ?? 0;
    return sum;
  }

  /** The row that covers a pixel. */
  at(pixel: number): number {
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offset(middle) <= pixel) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }
}
