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

/** Size of one frame between peers, in bytes. A snapshot is sent in chunks below it. */
export const FRAME_BYTES_MAX = 1_048_576;

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

/** Dials of members and of addresses to join by that are under way at once. */
export const DIALS_MAX = 64;

/** Such dials that are begun in a second, once `DIALS_MAX` of them were begun at a stretch. */
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

/** Rows that a peer writes to defend its own one after another, without a wait. */
export const ROW_WRITES_BURST_MAX = 8;

/** And then the time between two of them, in ms. */
export const ROW_WRITE_INTERVAL_MS = 1000;
/** Questions of others about silent members that one peer looks into at once [F3]. */
export const INQUIRIES_MAX = 256;

/** Calls of users that wait for an answer at once. */
export const CALLS_MAX = 1000;
