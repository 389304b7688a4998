/**
 * The metrics of a peer, in the text format of Prometheus.
 *
 * Nothing is counted for their sake: all numbers are read from the peer when somebody asks. Those of the
 * process (memory, processor, event loop) are collected once for all peers in it, from the first
 * question on.
 */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { LiveCounts } from "./live-counts.ts";
import type { DocumentNumbers, ServedPeer } from "./served-peer.ts";

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

let processMetrics: Registry | undefined;

/** The present values of all metrics. */
export async function metricsOf(served: ServedPeer): Promise<string> {
  if (processMetrics === undefined) {
    processMetrics = new Registry();
    collectDefaultMetrics({ register: processMetrics });
  }
  const own = new Registry();
  readPeer(served, own);
  const texts = [await own.metrics(), await processMetrics.metrics()];
  return texts.join("\n");
}

function readPeer(served: ServedPeer, registry: Registry): void {
  const status = served.status();
  const registers = [registry];
  const gauge = (name: string, help: string, value: number): void => {
    new Gauge({ name, help, registers }).set(value);
  };
  gauge("hearsay_ready", "1 while this peer serves and takes writes", Number(status.ready));
  gauge("hearsay_shards", "Registered shards", status.shards);
  gauge("hearsay_allocations", "Shards that have a region", status.allocations);
  const hosted = served.allocations().filter(({ region }) => region === status.name).length;
  gauge("hearsay_shards_hosted", "Shards that this peer's region hosts", hosted);
  gauge("hearsay_links", "Open links to other peers", status.links);
  gauge("hearsay_replica_entries", "Entries of the replica, tombstones included", status.entries);
  const drift = "How far the hybrid clock runs ahead of the wall clock";
  gauge("hearsay_clock_drift_seconds", drift, status.clock.driftMs / 1000);

  const sent = served.sent();
  const counter = (name: string, help: string, value: number): void => {
    new Counter({ name, help, registers }).inc(value);
  };
  counter("hearsay_frames_sent_total", "Frames sent to other peers", sent.frames);
  counter("hearsay_bytes_sent_total", "Bytes of these frames", sent.bytes);
  const documents = served.documents();
  if (documents !== undefined) readDocuments(documents, gauge, counter);

  const { live } = status;
  if (live !== null) readLive(live, { gauge, counter }, registers);

  const members = new Gauge({
    name: "hearsay_members",
    help: "Members by status, this peer included",
    labelNames: ["status"],
    registers,
  });
  for (const [is, count] of Object.entries(status.members)) members.set({ status: is }, count);

  const refused = new Counter({
    name: "hearsay_entries_refused_total",
    help: "Entries from other peers that were refused, by reason",
    labelNames: ["reason"],
    registers,
  });
  for (const [reason, count] of Object.entries(status.refused)) refused.inc({ reason }, count);
}

type Show = (name: string, help: string, value: number) => void;

function readDocuments(numbers: DocumentNumbers, gauge: Show, counter: Show): void {
  gauge("hearsay_documents_loaded", "Documents in memory", numbers.loaded);
  gauge(
    "hearsay_document_clients",
    "Clients at documents, rooms of other peers included",
    numbers.clients,
  );
  gauge("hearsay_document_copies", "Copies of documents that are kept here", numbers.copies);
  gauge("hearsay_document_copy_bytes", "Bytes of these copies", numbers.copyBytes);
  counter("hearsay_document_loads_total", "Documents brought into memory", numbers.loads);
  counter("hearsay_document_unloads_total", "Documents let go of", numbers.unloads);
  counter("hearsay_document_edits_total", "Edits of clients", numbers.edits);
  counter("hearsay_document_edit_bytes_total", "Bytes of these edits", numbers.editBytes);
}

function readLive(
  live: LiveCounts,
  { gauge, counter }: { readonly gauge: Show; readonly counter: Show },
  registers: Registry[],
): void {
  gauge("hearsay_live_subscriptions", "Live queries that clients follow here", live.subscriptions);
  gauge("hearsay_live_shapes", "How many different ones these are", live.shapes);
  gauge("hearsay_live_upstreams", "Live queries that gateways follow here", live.upstreams);
  gauge("hearsay_live_views", "Views that answer them", live.views);
  counter("hearsay_live_deltas_total", "Changes of rows that clients were told of", live.deltas);
  counter("hearsay_live_resets_total", "Times that a client got all rows", live.resets);
  counter("hearsay_live_lagged_total", "Times that a client had fallen behind", live.lagged);
  const refused = new Counter({
    name: "hearsay_live_refused_total",
    help: "Live queries and writes of rows that were refused or ended, by code",
    labelNames: ["code"],
    registers,
  });
  for (const [code, count] of Object.entries(live.refused)) refused.inc({ code }, count);
}
