import { MemoryStore } from "../../src/io/store.ts";
import { storeContract } from "../contract/store-contract.ts";

storeContract("a store in memory", async () => {
  const store = new MemoryStore();
  return { store: () => store, remove: async () => {} };
});
