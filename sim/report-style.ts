/**
 * How a report looks, in light and in dark.
 *
 * Colours of peers and tables are Paul Tol's "bright" scheme, which people tell apart with any kind of
 * colour vision; what is broken has a colour of its own and a shape besides. Patterns are drawn in the
 * colour of the text, so that they work in both.
 *
 * Source: Paul Tol, "Colour schemes", SRON/EPS/TN/09-002, 2021.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --raised: #ffffff; --ink: #1c1f23; --quiet: #636a73; --faint: #dfe1e4;
  --lane: #eceef0; --grid: #e3e5e8; --accent: #2f6690; --area: #2f669022;
  --good: #1f7a4d; --good-paper: #e3f2e9; --broken: #c2410c; --broken-paper: #fde8dc;
  --p0: #4477aa; --p1: #c9a500; --p2: #aa3377; --p3: #228833; --p4: #3fb3d6; --p5: #ee6677; --p6: #7d7d7d;
  --t0: #9dbcd8; --t1: #d9a400; --t2: #aa3377; --t3: #2b2f36;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --raised: #1b1f23; --ink: #e6e8ea; --quiet: #98a1ab; --faint: #32383e;
    --lane: #262b30; --grid: #2b3036; --accent: #7fb2dc; --area: #7fb2dc22;
    --good: #5cc48d; --good-paper: #17352580; --broken: #ff8a4c; --broken-paper: #43210f;
    --p0: #6ea3d8; --p1: #dcc24a; --p2: #d86aa8; --p3: #4fb562; --p4: #66ccee; --p5: #f28b97; --p6: #b0b0b0;
    --t0: #3d6285; --t1: #e0b93a; --t2: #d86aa8; --t3: #e6e8ea;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.55 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1184px; margin: 0 auto; padding: 40px 32px 72px; }
header { margin-bottom: 28px; }
.over { margin: 0 0 6px; color: var(--quiet); font-size: 13px; letter-spacing: 0.04em; }
h1 { margin: 0; font-size: 34px; line-height: 1.15; font-weight: 650; letter-spacing: -0.015em;
  display: flex; flex-wrap: wrap; align-items: center; gap: 14px; }
h2 { margin: 44px 0 4px; font-size: 19px; font-weight: 630; letter-spacing: -0.005em; }
h3 { margin: 18px 0 4px; font-size: 14px; font-weight: 630; }
p { margin: 0 0 12px; max-width: 76ch; text-wrap: pretty; }
.lead { margin-top: 10px; font-size: 17px; }
.note { color: var(--quiet); }
.badge { padding: 4px 12px 5px; border-radius: 999px; font-size: 15px; font-weight: 600; letter-spacing: 0; }
.badge.passed { background: var(--good-paper); color: var(--good); }
.badge.failed { background: var(--broken-paper); color: var(--broken); }
code, pre { font: 13px/1.6 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 10px 0 0; padding: 10px 14px; border: 1px solid var(--faint); border-radius: 8px;
  background: var(--raised); overflow-x: auto; white-space: pre-wrap; }
pre span { white-space: nowrap; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin: 22px 0 0;
  border: 1px solid var(--faint); border-radius: 10px; background: var(--faint); overflow: hidden; }
.tile { padding: 12px 16px 13px; background: var(--raised); }
.tile b { display: block; font-size: 22px; line-height: 1.25; font-weight: 600; letter-spacing: -0.01em; }
.tile span { color: var(--quiet); font-size: 13px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 2px 28px; margin: 18px 0 0; }
dl div { display: flex; justify-content: space-between; gap: 12px; padding: 5px 0; border-bottom: 1px solid var(--faint); }
dt { color: var(--quiet); white-space: nowrap; } dd { margin: 0; text-align: right; }
dl .wide { grid-column: 1 / -1; } dl .wide dd { text-align: right; }
figure { margin: 8px 0 0; padding: 10px 0 4px; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 760px; height: auto; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 6px 0 0; padding: 0; list-style: none;
  color: var(--quiet); font-size: 13px; }
.legend li { display: flex; align-items: center; gap: 7px; }
.legend svg { width: 22px; height: 12px; flex: none; }
table { width: 100%; border-collapse: collapse; margin-top: 8px; }
th { text-align: left; font-weight: 500; color: var(--quiet); font-size: 13px; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--faint); vertical-align: baseline; }
td.number, th.number { text-align: right; white-space: nowrap; width: 112px; padding-right: 24px; }
td.id { white-space: nowrap; font-weight: 600; width: 96px; }
table.small { max-width: 480px; }
td.state { white-space: nowrap; }
.ok { color: var(--good); } .bad { color: var(--broken); font-weight: 600; } .idle { color: var(--quiet); }
.lines { font: 12.5px/1.6 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.lines td { padding: 1px 14px 1px 0; border: 0; overflow-wrap: anywhere; }
.lines td:first-child { text-align: right; color: var(--quiet); white-space: nowrap; width: 84px; }
.lines td.who { white-space: nowrap; width: 84px; }
details { border-bottom: 1px solid var(--faint); padding: 7px 0; }
summary { cursor: pointer; font-weight: 600; } summary span { color: var(--quiet); font-weight: 400; }
footer { margin-top: 48px; color: var(--quiet); font-size: 13px; }
svg text { font-size: 12px; fill: var(--ink); }
svg text.lane { font-size: 12.5px; }
svg text.tick { fill: var(--quiet); font-size: 11.5px; }
svg text.mark { fill: var(--quiet); font-size: 11.5px; }
svg text.broken-name { fill: var(--broken); font-weight: 700; }
svg line.grid { stroke: var(--grid); } svg line.base { stroke: var(--quiet); }
svg line.thread { stroke: var(--lane); stroke-width: 2; }
svg line.healed { stroke: var(--ink); stroke-dasharray: 2 3; }
svg line.agreed { stroke: var(--good); stroke-width: 1.5; }
svg line.broken { stroke: var(--broken); stroke-width: 1.5; }
svg path.cross { stroke: var(--paper); stroke-width: 6; fill: none; stroke-linecap: round; }
svg path.cross-in { stroke: var(--broken); stroke-width: 2.8; fill: none; stroke-linecap: round; }
svg .ready { fill: var(--lane); } svg .unready { fill: url(#unready); }
svg .paused { fill: url(#paused); } svg .down { fill: var(--quiet); opacity: 0.75; }
svg .peer-0 { fill: var(--p0); } svg .peer-1 { fill: var(--p1); } svg .peer-2 { fill: var(--p2); }
svg .peer-3 { fill: var(--p3); } svg .peer-4 { fill: var(--p4); } svg .peer-5 { fill: var(--p5); }
svg .peer-6 { fill: var(--p6); }
svg .table-0 { fill: var(--t0); } svg .table-1 { fill: var(--t1); } svg .table-2 { fill: var(--t2); }
svg .table-3 { fill: var(--t3); }
svg .none { fill: none; stroke: var(--faint); }
svg .strike { fill: var(--accent); stroke: var(--paper); stroke-width: 1; }
svg .standing { fill: var(--accent); opacity: 0.45; }
svg path.line { fill: none; stroke: var(--accent); stroke-width: 1.6; } svg path.area { fill: var(--area); }
svg .bar { fill: var(--t0); } svg .bar.shown { fill: var(--accent); } svg .bar.never { fill: var(--broken); }
svg pattern path { stroke: var(--quiet); stroke-width: 1.4; fill: none; } svg pattern rect { fill: var(--lane); }
.defs { position: absolute; width: 0; height: 0; }
@media (max-width: 640px) { main { padding: 24px 16px 48px; } h1 { font-size: 27px; } }
@media print { figure, table { break-inside: avoid; } }
`;
