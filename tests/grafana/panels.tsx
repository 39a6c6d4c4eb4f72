// Panels of a dashboard drawn by Grafana's own components, with what a Prometheus answers to each query. It is no Grafana:
// the queries come without variables, and of a panel's settings those are read that the project's dashboards have.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides, createTheme, DataFrame, dateTime, FieldType, getDisplayProcessor, standardEditorsRegistry,
  standardFieldConfigEditorRegistry, ThemeContext, toDataFrame,
} from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, GlobalStyles, PanelChrome, TimeSeries } from '@grafana/ui';
import 'uplot/dist/uPlot.min.css';

standardEditorsRegistry.setInit(() => []);
standardFieldConfigEditorRegistry.setInit(() => []);
const theme = createTheme({ colors: { mode: 'light' } });
const asked = new URLSearchParams(location.search);
const end = Number(asked.get('end')), seconds = Number(asked.get('seconds')), start = end - seconds;
const CELL = { width: 50, height: 38 };

async function answer(path: string, parameters: Record<string, string>) {
  const url = `${asked.get('prometheus')}/api/v1/${path}?${new URLSearchParams(parameters)}`;
  const content = await (await fetch(url)).json();
  if (content.status !== 'success') throw new Error(content.error);
  return content.data.result;
}

function nameOf(target: any, labels: Record<string, string>): string {
  return target.legendFormat.replace(/{{\s*(\w+)\s*}}/g, (_: string, label: string) => labels[label] ?? '').trim();
}

async function frames(panel: any): Promise<DataFrame[]> {
  const found: DataFrame[] = [];
  const step = panel.interval === '1w' ? 7 * 86400 : Math.max(1, Math.floor(seconds / 120));
  const first = panel.interval === '1w' ? end - Math.floor(seconds / step) * step : start;
  for (const target of panel.targets) {
    const result = target.instant
      ? (await answer('query', { query: target.expr, time: `${end}` })).map((one: any) => ({ ...one, values: [one.value] }))
      : await answer('query_range', { query: target.expr, start: `${first}`, end: `${end}`, step: `${step}` });
    for (const series of result) {
      const name = nameOf(target, series.metric);
      const { defaults, overrides } = panel.fieldConfig;
      const own = overrides.find((one: any) => one.matcher.options === name)?.properties[0].value;
      // as Grafana does, a step without a sample is a gap
      const known = new Map<number, number>(series.values.map((pair: any) => [Math.round(pair[0]), Number(pair[1])]));
      const times = target.instant ? [...known.keys()] : Array.from({ length: Math.floor((end - first) / step) + 1 }, (_, place) => Math.round(first + place * step));
      found.push(toDataFrame({ refId: target.refId, fields: [
        { name: 'time', type: FieldType.time, values: times.map((time) => time * 1000) },
        { name, type: FieldType.number, values: times.map((time) => known.get(time) ?? null), config: {
          ...defaults, color: own ?? defaults.color, displayName: name,
          custom: { axisPlacement: 'auto', pointSize: 5, ...defaults.custom },
        } },
      ] }));
    }
  }
  const shown = applyFieldOverrides({ data: found, fieldConfig: { defaults: {}, overrides: [] }, replaceVariables: (text) => text, theme, timeZone: 'utc' });
  shown.forEach((frame, index) => {
    frame.fields[1].state = { ...frame.fields[1].state, seriesIndex: index };
    frame.fields[1].display = getDisplayProcessor({ field: frame.fields[1], theme });
  });
  return shown;
}

function Body({ panel, data, width, height }: any) {
  if (!data.length) return <b>No data</b>;
  if (panel.type === 'timeseries') {
    const range = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: 'then', to: 'now' } };
    return <TimeSeries frames={data} timeRange={range as any} timeZone="utc" width={width} height={height}
      legend={panel.options.legend} options={panel.options} />;
  }
  const each = Math.floor(width / data.length);
  return <div style={{ display: 'flex' }}>{data.map((frame: DataFrame) => {
    const field = frame.fields[1], value = field.display!(field.values[0]);
    return <BigValue key={field.name} theme={theme} width={each} height={height} value={{ ...value, title: field.config.displayName }}
      colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.None} textMode={BigValueTextMode.ValueAndName} />;
  })}</div>;
}

async function main() {
  const dashboard = await (await fetch(asked.get('dashboard')!)).json();
  const drawn = [];
  let bottom = 0;
  for (const panel of dashboard.panels) {
    const { x, y, w, h } = panel.gridPos, width = w * CELL.width - 8, height = h * CELL.height - 8;
    const place = { position: 'absolute', left: x * CELL.width, top: y * CELL.height } as const;
    bottom = Math.max(bottom, (y + h) * CELL.height);
    if (panel.type === 'row') {
      drawn.push(<h4 key={panel.id} style={place}>{panel.title}</h4>);
      continue;
    }
    const data = await frames(panel);
    drawn.push(<div key={panel.id} className="panel" style={place}>
      <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
        {(innerWidth: number, innerHeight: number) => <Body panel={panel} data={data} width={innerWidth} height={innerHeight} />}
      </PanelChrome></div>);
  }
  createRoot(document.getElementById('root')!).render(<ThemeContext.Provider value={theme}><GlobalStyles />{drawn}</ThemeContext.Provider>);
  document.getElementById('root')!.style.height = `${bottom}px`;
  setTimeout(() => { document.title = 'drawn'; }, 1500);
}
main().catch((problem) => { document.body.innerText = String(problem.stack); document.title = 'drawn'; });
