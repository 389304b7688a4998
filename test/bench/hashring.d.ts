/**
 * The part of the package `hashring` that the benches use; it brings no types.
 */
declare module "hashring" {
  export default class HashRing {
    constructor(
      servers: readonly string[],
      algorithm: string,
      options: {
        /** Points of a server, times `replicas`. */
        readonly "vnode count": number;
        readonly replicas: number;
        /** Results that are remembered, by key; 5000 if not said. */
        readonly "max cache size"?: number;
      },
    );
    get(key: string): string;
  }
}
