"""The look of a report: system fonts, one accent, a palette that colour-blind readers can tell apart."""

# The lines' colours follow Okabe and Ito, "Color Universal Design" (https://jfly.uni-koeln.de/color/), darkened where
# they would be too faint on white and lightened where they would be too faint on black.
STYLE = """
:root{
  color-scheme:light dark; --bg:#fbfbf9; --panel:#fff; --ink:#1d2126; --muted:#5d666f; --line:#e3e4e0;
  --grid:#ecedea; --accent:#0b5cad; --soft:#e9f0f8; --good:#00704f; --bad:#b3400a; --warn:#fdf3e1;
  --c0:#0068a8; --c1:#c75000; --c2:#00845f; --c3:#b5578e; --c4:#5b4fa8; --c5:#a87400; --c6:#3892c9;
  --c7:#6b6f75}
@media (prefers-color-scheme:dark){
  :root{
    --bg:#14171a; --panel:#1b1f23; --ink:#e4e7ea; --muted:#9aa4ad; --line:#2e343a; --grid:#272c31;
    --accent:#74b4f2; --soft:#20303f; --good:#4fcfa3; --bad:#f29a66; --warn:#33291a; --c0:#5aaee8;
    --c1:#f08a4b; --c2:#3fc597; --c3:#e09ac6; --c4:#a99df0; --c5:#e3b341; --c6:#a3d5f5; --c7:#a6abb1}
}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{
  margin:0; background:var(--bg); color:var(--ink);
  font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;
  font-variant-numeric:tabular-nums}
main,header.top{max-width:1280px;margin:0 auto;padding:0 28px}
header.top{padding-top:40px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .3rem;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:3rem 0 1rem;letter-spacing:-.005em}
h3{font-size:.95rem;margin:0;display:inline}
a{color:var(--accent)}
.facts,.note,.hint,small{color:var(--muted)}
.facts{margin:0;overflow-wrap:anywhere}
.note{font-size:.88rem;margin:.9rem 0 0}
.verdict{font-size:1.1rem;max-width:46em;margin:1.4rem 0 1.2rem}
.verdict.warn{background:var(--warn);border-left:3px solid var(--bad);padding:.7rem 1rem}
.tiles{
  display:grid; grid-template-columns:repeat(auto-fit,minmax(220px,1fr)); gap:1px; background:var(--line);
  border:1px solid var(--line); border-radius:8px; overflow:hidden; margin:0}
.tiles div{background:var(--panel);padding:14px 18px}
.tiles dt{font-size:.82rem;color:var(--muted)}
.tiles dd{margin:0;font-size:1.4rem;letter-spacing:-.01em;line-height:1.35}
.tiles dd small{display:block;font-size:.85rem;letter-spacing:0;white-space:normal}
.arrow{color:var(--muted);padding:0 .15em}
.up{color:var(--good)}
.down{color:var(--bad)}
nav ul{
  display:flex; flex-wrap:wrap; gap:.2rem 1.3rem; list-style:none; padding:0; margin:1.5rem 0 0;
  font-size:.9rem}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:18px}
figure{
  margin:0; background:var(--panel); border:1px solid var(--line); border-radius:8px; padding:14px 16px 10px;
  min-width:0; display:flex; flex-direction:column}
figcaption{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 .5em}
figcaption small{font-size:.82rem}
.legend{
  list-style:none; display:flex; flex-wrap:wrap; gap:0 1.1em; padding:0; margin:.25rem 0 .4rem;
  font-size:.82rem}
.legend li{display:flex;align-items:center;gap:.4em;min-width:0}
.legend b{font-weight:600}
.legend span{overflow-wrap:anywhere}
.legend i,.tip i{flex:none;width:14px;border-top:3px solid var(--c)}
.dashed i{border-top-style:dotted}
.hint{font-size:.8rem;line-height:1.4;margin:.3rem 0 0}
.plot{position:relative;margin-top:auto}
svg{display:block;width:100%;height:auto;overflow:visible;font-size:11px}
svg:focus-visible,button:focus-visible,summary:focus-visible,input:focus-visible,select:focus-visible,.scroll:focus-visible{
  outline:2px solid var(--accent); outline-offset:2px; border-radius:3px}
.grid path{stroke:var(--grid);vector-effect:non-scaling-stroke}
.grid path.zero,.grid .tick{stroke:var(--muted);stroke-opacity:.55}
.grid text{fill:var(--muted)}
.grid .y,.grid .axis{text-anchor:end}
.grid .x{text-anchor:middle}
.line path{
  fill:none; stroke:var(--c); stroke-width:1.8; stroke-linejoin:round; stroke-linecap:round;
  vector-effect:non-scaling-stroke}
.line .dots{stroke-width:4.5}
.line.dashed path:first-child{stroke-dasharray:5 4}
.cursor{stroke:var(--muted);vector-effect:non-scaling-stroke}
.c0{--c:var(--c0)}
.c1{--c:var(--c1)}
.c2{--c:var(--c2)}
.c3{--c:var(--c3)}
.c4{--c:var(--c4)}
.c5{--c:var(--c5)}
.c6{--c:var(--c6)}
.c7{--c:var(--c7)}
.tip{
  position:absolute; top:0; z-index:3; pointer-events:none; background:var(--panel);
  border:1px solid var(--line); border-radius:6px; box-shadow:0 3px 14px #0002; padding:6px 10px;
  font-size:.8rem; line-height:1.45; max-width:70%}
.tip p{margin:0;color:var(--muted)}
.tip div{display:flex;align-items:center;gap:.45em}
.tip b{margin-left:auto;padding-left:.8em}
.tip span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.tools{display:none;flex-wrap:wrap;gap:10px 14px;align-items:end;margin:1.1rem 0 12px;font-size:.86rem}
.js .tools{display:flex}
.tools label{display:flex;flex-direction:column;gap:3px;color:var(--muted);font-size:.78rem}
.tools .group{display:flex;flex-wrap:wrap;gap:6px;width:100%}
button,input,select{font:inherit;color:inherit}
.tools button,.tools input,.tools select{
  background:var(--panel); border:1px solid var(--line); border-radius:6px; padding:5px 10px;
  font-size:.86rem; color:var(--ink); min-height:34px}
.tools input[type=number]{width:6.5em}
.tools select{max-width:15em}
.tools button{cursor:pointer}
.tools button[aria-pressed=true]{background:var(--soft);border-color:var(--accent);color:var(--accent)}
.count{color:var(--muted);font-size:.86rem;margin:0 0 8px}
.scroll{
  overflow:auto; border:1px solid var(--line); border-radius:8px; background:var(--panel);
  container-type:inline-size}
.scroll.tall{max-height:85vh}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.82rem}
th,td{
  padding:6px 8px; text-align:right; white-space:nowrap; border-bottom:1px solid var(--line);
  vertical-align:top}
thead th{
  position:sticky; top:0; background:var(--panel); z-index:2; font-weight:600;
  vertical-align:bottom}
th.t,td.t{text-align:left}
thead button{all:unset;cursor:pointer;white-space:nowrap}
thead button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
thead th[aria-sort=ascending] button::after{content:" ↑";color:var(--accent)}
thead th[aria-sort=descending] button::after{content:" ↓";color:var(--accent)}
td.x{max-width:420px;overflow:hidden;text-overflow:ellipsis;color:var(--muted)}
html:not(.js) .rollouts>tbody>tr:first-child>td,.open>tr:first-child>td{border-bottom:0}
.js .rollouts>tbody>tr:first-child{cursor:pointer}
.js .rollouts>tbody>tr:first-child:hover{background:var(--soft)}
.toggle{all:unset;cursor:pointer;padding:0 4px;color:var(--muted)}
.toggle:focus-visible{outline:2px solid var(--accent)}
html:not(.js) .toggle{display:none}
.open .toggle span{display:inline-block;transform:rotate(90deg)}
.rollouts .detail>td{padding:0 10px 8px;text-align:left;white-space:normal}
.js .detail{display:none}
.js .open .detail{display:table-row}
.js .detail summary{display:none}
.detail details>div{position:sticky;left:10px;width:calc(100cqw - 24px)}
.texts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr));gap:12px}
.texts h4,.parts h4{margin:6px 0 3px;font-size:.78rem;color:var(--muted);font-weight:600}
pre{
  margin:0; font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;
  white-space:pre-wrap; overflow-wrap:anywhere; background:var(--bg); border:1px solid var(--line);
  border-radius:6px; padding:10px 12px; max-height:420px; overflow:auto; unicode-bidi:isolate; contain:paint}
.esc{color:var(--bad);border:1px solid var(--line);border-radius:3px;font-size:.85em;padding:0 2px}
.parts table{width:auto;min-width:340px;max-width:100%;margin-top:4px}
.parts{overflow-x:auto;margin-top:8px}
.parts th,.parts td{padding:3px 14px 3px 0}
.parts th:first-child,.parts td:last-child,.parts th:last-child{text-align:left}
.parts tbody th{font-weight:400}
.parts thead th{position:static;font-weight:400;color:var(--muted)}
.ok{color:var(--good)}
.no{color:var(--bad)}
.chip{
  border:1px solid var(--bad); color:var(--bad); border-radius:9px; padding:0 6px; font-size:.75rem;
  margin-left:5px}
details.config{margin:3rem 0}
details.config summary{cursor:pointer;font-weight:600}
details.config pre{margin-top:10px;max-height:none}
footer{max-width:1280px;margin:3rem auto 0;padding:0 28px 40px;color:var(--muted);font-size:.82rem}
[hidden]{display:none!important}
@media (max-width:640px){
  body{font-size:15px}
  main,header.top,footer{padding-left:14px;padding-right:14px}
  header.top{padding-top:22px}
  h2{margin-top:2.2rem}
  .charts{gap:12px}
  figure{padding:12px 10px 8px}
  svg{font-size:12px}
  .tiles{grid-template-columns:1fr 1fr}
  .tiles div{padding:10px 12px}
  .tiles dd{font-size:1.1rem}
}
@media (max-width:400px){
  .tiles{grid-template-columns:1fr}
}
@media print{
  .tools{display:none!important}
  .scroll.tall{max-height:none}
  figure{break-inside:avoid}
}
"""
