/**
 * Members for the tests of what is computed from them.
 */
import type { MemberState } from "../../src/core/membership.ts";

/** A member with the given state, and everything else as usual. */
export function member(name: string, state: Partial<MemberState> = {}): MemberState {
  const row = {
    status: state.status === "left" ? ("left" as const) : ("alive" as const),
    incarnation: `${name}1`,
    started: 0,
    address: `${name}:1`,
    zone: null,
    weight: 1,
    draining: false,
    joined: 1,
    since: 0,
  };
  const stamp = { time: 1, writer: `${name}1` };
  const { status = "alive" } = state;
  return {
    name,
    row,
    stamp,
    status,
    removed: status === "left",
    since: 0,
    why: "",
    accusers: [],
    ...state,
  };
}
