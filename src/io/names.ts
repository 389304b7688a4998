/**
 * What one may write after `--join`, and the addresses that it stands for.
 *
 *   host:port        dialled as it stands
 *   dns:NAME:PORT    every A and AAAA record of NAME, each with this port
 *   srv:NAME         every SRV record of _hearsay._tcp.NAME, or of NAME if it begins with an underscore;
 *                    each with the port of the record, at every A and AAAA record of its target
 *
 * A name may have a hundred addresses (a headless service of Kubernetes has one for each pod), and each
 * of them is dialled: one alone may be that of this peer, or of one that is gone. Addresses are asked of
 * the name servers, so that all of them come and not the one that the system prefers; a name that
 * these do not know may still be one of the hosts file or of a search domain, so the system is asked then.
 *
 * Deliberately absent: priorities and weights of SRV records (every peer is dialled), and caching: whoever
 * asks decides how often.
 *
 * Source: RFC 2782 for SRV. Rules: SPEC.md, G8.
 */
import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { JOIN_ADDRESSES_MAX } from "../core/limits.ts";
import type { Address } from "../core/units.ts";
import { formatAddress, parseAddress, splitAddress } from "./addresses.ts";

/** One thing to join by. */
export type JoinBy =
  | { readonly type: "address"; readonly address: Address }
  | { readonly type: "dns"; readonly name: string; readonly port: number }
  | { readonly type: "srv"; readonly name: string };

/** How each is written, for people. */
export const JOIN_FORMS = ["host:port", "dns:NAME:PORT", "srv:NAME"] as const;

/** Asks about names. Rejects for a name that is not known, or not yet. */
export interface NameResolver {
  /** All addresses of a name, IPv4 and IPv6. */
  addresses(name: string): Promise<readonly string[]>;
  /** The SRV records of a name. */
  services(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
}

const SERVICE = "_hearsay._tcp.";

/** A name as DNS has it, up to 253 characters. Underscores begin the labels of services. */
const DNS_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?$/;

/** Reads one thing to join by. Throws a `TypeError` that says what is wrong with it. */
export function parseJoin(text: string): JoinBy {
  const [, form, rest = ""] = /^(dns|srv):(.*)$/s.exec(String(text)) ?? [];
  const quoted = JSON.stringify(text);
  if (form === undefined || /^\d+$/.test(rest)) {
    parseAddress(text); // "dns:7100" is the host of that name.
    return { type: "address", address: text };
  }
  if (form === "srv") {
    if (!DNS_NAME.test(rest)) throw new TypeError(`${quoted} is not srv: and a name`);
    return { type: "srv", name: rest.startsWith("_") ? rest : `${SERVICE}${rest}` };
  }
  const parts = splitAddress(rest);
  if (parts === undefined || parts.port === 0 || !DNS_NAME.test(parts.host)) {
    throw new TypeError(`${quoted} is not dns:, a name, and a port from 1 to 65535`);
  }
  return { type: "dns", name: parts.host, port: parts.port };
}

/** The addresses that something to join by stands for now. Rejects when there is none. */
export async function resolveJoin(by: JoinBy, resolver: NameResolver): Promise<Address[]> {
  if (by.type === "address") return [by.address];
  if (by.type === "dns") return addressesOf(by, resolver);
  const services = (await resolver.services(by.name)).slice(0, JOIN_ADDRESSES_MAX); // [S4]
  const answers = await Promise.allSettled(services.map((each) => addressesOf(each, resolver)));
  const found = answers.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
  // Of a hundred pods, one that has just gone costs none of the others.
  const failed = answers.find((each) => each.status === "rejected");
  if (found.length === 0 && failed !== undefined) throw failed.reason;
  return found;
}

async function addressesOf(
  { name, port }: { readonly name: string; readonly port: number },
  resolver: NameResolver,
): Promise<Address[]> {
  const hosts = isIP(name) ? [name] : await resolver.addresses(name);
  return hosts
    .filter((host) => isIP(host) !== 0)
    .map((host) => formatAddress({ host, port }))
    .filter((address) => splitAddress(address) !== undefined && port > 0);
}

/** How long a name server may take, in ms, and how often it is asked. */
const RESOLVE_TIMEOUT_MS = 2000;
const RESOLVE_TRIES = 2;

/** The name servers of this machine, and then whatever else it knows names by; or just given servers. */
export function systemResolver(servers?: readonly string[]): NameResolver {
  const resolver = new Resolver({ timeout: RESOLVE_TIMEOUT_MS, tries: RESOLVE_TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  return {
    async addresses(name) {
      const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
      const found = answers.flatMap((each) => (each.status === "fulfilled" ? each.value : []));
      if (found.length > 0) return found;
      if (servers === undefined) {
        return (await lookup(name, { all: true })).map(({ address }) => address);
      }
      const failed = answers.find((each) => each.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      return found;
    },
    services: (name) => resolver.resolveSrv(name),
  };
}
