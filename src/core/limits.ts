/**
 * Every limit on what comes from outside, in one place, with unit and reason.
 *
 * A limit is checked before memory is allocated for what it limits [S4]. Limits on entries are part
 * of the protocol: two peers with different ones would refuse each other's entries for ever, so
 * they are constants and not options.
 */

/** Length of a key, in UTF-16 code units. Holds two names and a separator with room to spare. */
export const KEY_LENGTH_MAX = 256;

/** Length of an incarnation, in UTF-16 code units: a base-36 time and a hyperid are about 42. */
export const WRITER_LENGTH_MAX = 96;

/** Size of a value in its canonical encoding, in bytes. */
export const VALUE_BYTES_MAX = 65_536;

/** Nesting of arrays and objects in a value. Ours need 2. */
export const VALUE_DEPTH_MAX = 16;

/** Live entries and tombstones of one replica. At about 200 bytes each this is 50 MB. */
export const REPLICA_ENTRIES_MAX = 262_144;

/** Replicated maps in one replica. Ours are fewer than 16; the rest is room for later versions. */
export const REPLICA_MAPS_MAX = 64;

/** Length of a replicated map's name, in UTF-16 code units. */
export const MAP_NAME_LENGTH_MAX = 32;

/** Configured shards. Akka documents tables of up to 100 000 entries; a ring of 65 536 fits 80 MB. */
export const SHARDS_MAX = 65_536;

/** Size of one message to a host, of its answer, and of a chunk of state, in bytes as it travels. */
export const MESSAGE_BYTES_MAX = 1_048_576;

/** Size of a chunk of a shard's state, in bytes: the largest message, and whose it is. */
export const CHUNK_BYTES_MAX = MESSAGE_BYTES_MAX + 64;

/** Size of one frame between peers, in bytes: the largest message and what is said beside it. */
export const FRAME_BYTES_MAX = MESSAGE_BYTES_MAX + 65_536;

/** Size above which a sender starts a new frame, in bytes: leaves room for one more largest entry. */
export const FRAME_BYTES_TARGET = 262_144;

/** Fragments of one WebSocket message. We never fragment; a stranger may, within reason. */
export const FRAME_FRAGMENTS_MAX = 64;

/** Nesting in a frame: frame, message, entries, entry, then the value. */
export const FRAME_DEPTH_MAX = VALUE_DEPTH_MAX + 6;

/** Elements that one array in a frame may announce. */
export const FRAME_ELEMENTS_MAX = 131_072;

/** Messages in one frame. */
export const FRAME_MESSAGES_MAX = 4096;

/** Size of a frame before the handshake is over, in bytes. */
export const HANDSHAKE_FRAME_BYTES_MAX = 2048;

/** Length of a cluster's name, in UTF-16 code units. */
export const CLUSTER_NAME_LENGTH_MAX = 64;

/** Length of an advertised address `host:port`, in UTF-16 code units: a DNS name is at most 253. */
export const ADDRESS_LENGTH_MAX = 262;

/** Length of a zone's name, in UTF-16 code units. */
export const ZONE_LENGTH_MAX = 64;

/** Time until a new link must have completed its handshake, in ms [S9]. */
export const HANDSHAKE_TIMEOUT_MS = 3000;

/** Links that one peer keeps, dialled and accepted, those in handshake included. */
export const LINKS_MAX = 1024;

/** Links in handshake at once; a newcomer beyond it closes the oldest of them. */
export const HANDSHAKES_MAX = 128;

/** Bytes waiting in a socket above which a link gets no more deltas [G6]. */
export const BUFFERED_BYTES_HIGH = 1_048_576;

/** Bytes waiting in a socket below which a link that was behind is synchronised again [G6]. */
export const BUFFERED_BYTES_LOW = 65_536;

/** Bytes waiting in a socket at which the link is given up: its reader has stopped. */
export const BUFFERED_BYTES_MAX = 16_777_216;

/**
 * Dials of members and of addresses to join by that are under way at once. In a cluster that starts in
 * one go, those who are slow to answer are asked for less: 50 in one process link in a third of the time.
 */
export const DIALS_MAX = 8;

/** Such dials that are begun at a stretch: a full mesh, twice. */
export const DIALS_BURST_MAX = 64;

/** Such dials that are begun in a second after that. */
export const DIALS_PER_SECOND_MAX = 50;

/** Dead members that are dialled all the time, the latest ones: the others come up by chance. */
export const DEAD_DIALLED_MAX = 64;

/** Inquests under way that began with a dial which was refused, or at the request of others. */
export const INQUESTS_MAX = 64;

/** Rows of members, those that are dead or have left included. Eight times what clusters are tested for. */
export const MEMBERS_MAX = 8192;

/** Peers that a peer will not be linked with for a while, since they sent more than it can take. */
export const SHUNNED_MAX = 1024;

/** Addresses that a peer dials for joining. */
export const JOIN_ADDRESSES_MAX = 256;

/** Addresses of which it is remembered that they are one's own, or that it was said what is wrong there. */
export const ADDRESSES_REMEMBERED_MAX = 4 * JOIN_ADDRESSES_MAX;

/** Rows that a peer writes to defend its own one after another, without a wait. */
export const ROW_WRITES_BURST_MAX = 8;

/** And then the time between two of them, in ms. */
export const ROW_WRITE_INTERVAL_MS = 1000;
/** Questions of others about silent members that one peer looks into at once [F3]. */
export const INQUIRIES_MAX = 256;

/** Calls of users that wait for an answer at once, and calls on their way to other peers. */
export const CALLS_MAX = 1000;

/** Times that one call is passed on. Two suffice where views differ by one change. */
export const HOPS_MAX = 2;

/** Calls that one peer passes on at once for another one. */
export const PASSED_ON_MAX = 256;

/** Size of a call that is passed on, in bytes, with three for each UTF-16 code unit. */
export const REQUEST_BYTES_MAX = 262_144;

/** Length of the message of a refusal that travels, in UTF-16 code units. Ours are below 300. */
export const REFUSAL_LENGTH_MAX = 512;

/** Phases of one tick: each is a bit of a participant's progress. */
export const PHASES_MAX = 16;

/** Completions that are kept until their tick starts. */
export const EARLY_COMPLETIONS_MAX = 16_384;

/** Longest time for one phase of a tick, in ms: a day. */
export const PHASE_TIMEOUT_MS_MAX = 86_400_000;
/** Length of a term, in UTF-16 code units. What is longer is data and not language. */
export const TERM_LENGTH_MAX = 256;

/** Different terms in one shard. At 8 to 16 in an entry they take a quarter of a replica. */
export const SHARD_TERMS_MAX = 524_288;

/** Documents in one shard, and so the frequency of a term. The sum over all shards stays exact. */
export const SHARD_DOCUMENTS_MAX = 0xffff_ffff;

/** Length at which a part of a vocabulary that is passed on ends, in UTF-16 code units. */
export const STAGED_PART_LENGTH = 65_536;

/** Length of the longest part: the record that makes it long enough is still in it. A request holds it. */
export const STAGED_PART_LENGTH_MAX = STAGED_PART_LENGTH + TERM_LENGTH_MAX + 16;

/** Length of all parts that wait for the rest of their vocabulary, in UTF-16 code units. */
export const STAGED_LENGTH_MAX = 16_777_216;

/** Vocabularies that wait for the rest of themselves. */
export const STAGED_MAX = 64;
/** Size of a frame from a client, in bytes. */
export const RPC_FRAME_BYTES_MAX = 1_048_576;

/** Size of a frame to a client, in bytes: a table of `SHARDS_MAX` allocations takes 10 MB. */
export const RPC_ANSWER_BYTES_MAX = 16_777_216;

/** Elements of one array in an answer: as many shards with eight fields each, and room to spare. */
export const RPC_ANSWER_ELEMENTS_MAX = 1_048_576;

/** Nesting of a value in a call or an answer. Ours need 3. */
export const RPC_VALUE_DEPTH_MAX = 8;

/** Fields of an object in a call or an answer. What has more is a map. */
export const RPC_FIELDS_MAX = 64;

/** Length of the number or name that a client gives to a call, in UTF-16 code units. */
export const RPC_ID_LENGTH_MAX = 64;

/** Length of a document or a token that a client sends, in UTF-16 code units. */
export const RPC_TEXT_LENGTH_MAX = 65_536;

/** Calls of one client that wait for an answer at once, at either end. */
export const RPC_CALLS_MAX = 1000;

/** Streams of events of one client at once: each costs a step of the peer a little. */
export const RPC_STREAMS_MAX = 16;

/** Clients of one peer at once. A frame each that is not whole yet takes 256 MB. */
export const RPC_SESSIONS_MAX = 256;

/** Longest deadline of a call, in ms: a day. */
export const RPC_TIMEOUT_MS_MAX = 86_400_000;

/** Bytes on the way to a client above which nothing more is read from it, or done for it. */
export const RPC_BUFFERED_BYTES_HIGH = 1_048_576;

/** Bytes on the way to a client at which it is given up: two of the largest answers. */
export const RPC_BUFFERED_BYTES_MAX = 2 * RPC_ANSWER_BYTES_MAX;

/** Bytes that a client whom too much waits for must have read in `RPC_STALL_MS`. */
export const RPC_STALL_BYTES = 65_536;

/** See `RPC_STALL_BYTES`, in ms. */
export const RPC_STALL_MS = 10_000;

/** Silence after which a client is given up, in ms. Clients that have nothing to say send a ping. */
export const RPC_SILENCE_MS = 30_000;
/** Length of an entity's name, in UTF-16 code units: with its shard's it is a key. */
export const ENTITY_LENGTH_MAX = 128;

/** Asks of this peer's users that have no answer yet, buffered or on their way. */
export const ASKS_MAX = 65_536;

/** Bytes of those: 64 of the largest. */
export const ASK_BYTES_MAX = 67_108_864;

/** Bytes of asks on one link that have no answer yet: below what makes a link be given up [S4]. */
export const ASK_WINDOW_BYTES = 4_194_304;

/** Time that an ask may be given, in ms: a day. */
export const ASK_TIMEOUT_MS_MAX = 86_400_000;

/** Messages that wait for entities of one shard. */
export const SHARD_QUEUE_MAX = 16_384;

/** Bytes of messages that wait or run, of all shards of a region. */
export const WORK_BYTES_MAX = 134_217_728;

/** Bytes of answers on one link in the time of one pulse; more wait. Below `BUFFERED_BYTES_MAX`. */
export const ANSWER_BYTES_BURST = 4_194_304;

/** Bytes of answers that wait because a link is slow. Whoever is beyond is told that it is not known. */
export const ANSWER_BYTES_WAITING_MAX = 67_108_864;

/** Entities that are remembered in the whole cluster: a quarter of a replica. */
export const ENTITIES_REMEMBERED_MAX = 65_536;

/** Bytes of posts to one peer in the time of one pulse. Below `BUFFERED_BYTES_MAX`. */
export const POST_BYTES_BURST = 4_194_304;

/** Length of the name of a service, in UTF-16 code units. */
export const SERVICE_NAME_LENGTH_MAX = 32;

/** Entities of one region that have been started and not passivated. */
export const ENTITIES_STARTED_MAX = 262_144;
