/**
 * What is known of entries, by the map and the key that they stand at.
 *
 * Two maps in place of one by both names: a text that is put together for each look-up costs more than
 * most of what checkers do with it.
 */
export class Places<T> {
  readonly #maps = new Map<string, Map<string, T>>();

  get(map: string, key: string): T | undefined {
    return this.#maps.get(map)?.get(key);
  }

  set(map: string, key: string, value: T): void {
    const known = this.#maps.get(map);
    if (known !== undefined) known.set(key, value);
    else this.#maps.set(map, new Map([[key, value]]));
  }

  *[Symbol.iterator](): Iterator<[map: string, key: string, value: T]> {
    for (const [map, keys] of this.#maps) for (const [key, value] of keys) yield [map, key, value];
  }
}
