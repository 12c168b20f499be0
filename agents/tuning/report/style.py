"""What the page of a study needs besides the look of all reports."""

STUDY_STYLE = """
.mark{fill:var(--c);stroke:var(--panel);stroke-width:.8}
.mark.hollow{fill:none;stroke:var(--c);stroke-width:1.3}
.mark.best{stroke:var(--ink);stroke-width:1.2}
.mark:hover{stroke:var(--ink);stroke-width:1.6}
.thread{fill:none;stroke:var(--c);stroke-width:1.2;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.thread.wide{stroke-width:2.4}
.thread:hover{stroke:var(--ink);stroke-width:2.4;opacity:1}
figure.large .thread{stroke-opacity:.65}
figure.large .thread.wide,figure.large .thread:hover{stroke-opacity:1}
figure.across{grid-column:1/-1}
.charts.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr))}
.charts.pair figure:not(.across){max-width:760px}
figure h3{overflow-wrap:anywhere;min-width:0}
.wide-scroll{overflow-x:auto}
.wide-scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
svg.parallel{min-width:760px;font-size:12px}
.pillar .name{fill:var(--ink);font-weight:600}
.pillar text{paint-order:stroke;stroke:var(--panel);stroke-width:3px;stroke-linejoin:round}
.pillar .after{text-anchor:start}
.pillar path.zero{stroke-opacity:.9}
.pillar .name,.pillar .x{text-anchor:middle}
.bars{list-style:none;margin:.5rem 0 0;padding:0;font-size:.85rem}
.bars li{
  display:grid;grid-template-columns:minmax(0,1.2fr) minmax(0,1fr) 3.2em;gap:.7em;align-items:center;
  padding:2px 0}
.bars span{overflow-wrap:anywhere}
.bars i{display:block;height:11px;border-radius:2px;background:var(--c0);min-width:1px}
.bars b{text-align:right;font-weight:400}
.range{
  display:inline-block;position:relative;width:110px;height:9px;border-radius:5px;background:var(--soft);vertical-align:middle}
.range i{position:absolute;top:-2px;width:5px;height:13px;margin-left:-2.5px;border-radius:2px;background:var(--c2)}
.range i.from{background:var(--muted);width:3px;margin-left:-1.5px}
.edge{color:var(--bad)}
.interval{stroke:var(--c);stroke-width:3;fill:none;stroke-linecap:round}
"""
