package sim

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed report.html
var reportFiles embed.FS

// Colours of the page, which work on white and in print: honest grey, then low, middle and high mimicry.
const (
	honestColour, fraudColour = "#9aa3ad", "#b3261e"
	moneyColour               = "#1f5fa8"
)

func levelColours() [3]string { return [3]string{"#b3261e", "#d98200", "#2c7a4b"} }

// page is what the template shows.
type page struct {
	From, To           string
	Seed               uint64
	Players, Accounts  int
	Events             string
	FraudShare         string
	Figures            []figureRow
	Active, Money      template.HTML
	Agents, LookAlikes []agentRow
	Types              []typeRow
	Legend             [3]string
	Honest             string
}

// typeRow is one type of event, and how many honest players and frauds told.
type typeRow struct{ Name, Honest, Frauds string }

type figureRow struct {
	Figure
	Published, Simulated string
	Bar                  template.HTML
}

// agentRow is one fraud, or one kind of look-alike.
type agentRow struct {
	Name               string
	Players            int
	Loss               string
	Time, Gaps, Stakes template.HTML
}

// WriteHTML writes the page: one file, without scripts, that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.ParseFS(reportFiles, "report.html")
	if err != nil {
		return fmt.Errorf("BUG: cannot read the page's template: %w", err)
	}
	from, to := r.ends()
	p := page{
		From: from.Format("2006-01-02 15:04"), To: to.Format("2006-01-02 15:04"), Seed: r.cfg.Seed,
		Players: len(r.players), Accounts: r.cfg.Players, Events: thousands(float64(r.events)),
		Legend: levelColours(), Honest: honestColour,
	}
	frauds := 0
	for key, g := range r.groups {
		if key.fraud {
			frauds += g.players
		}
	}
	p.FraudShare = percent(float64(frauds), float64(len(r.players)))
	for _, f := range r.Figures() {
		p.Figures = append(p.Figures, rowOf(f))
	}
	p.Active = r.lines([]series{{"honest players", honestColour, r.active[0]}, {"fraudulent players", fraudColour, r.active[1]}})
	p.Money = r.lines([]series{
		{"staked", honestColour, r.staked}, {"kept by the house", moneyColour, r.kept}, {"lost to frauds", fraudColour, r.lost},
	})
	for _, name := range r.names(true) {
		p.Agents = append(p.Agents, r.agent(name, true))
	}
	for _, name := range append([]string{"ordinary"}, r.names(false)...) {
		p.LookAlikes = append(p.LookAlikes, r.agent(name, false))
	}
	for _, name := range slices.Sorted(maps.Keys(r.types)) {
		n := r.types[name]
		p.Types = append(p.Types, typeRow{name, thousands(float64(n[0])), thousands(float64(n[1]))})
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return nil
}

func (r *Report) agent(name string, fraud bool) agentRow {
	row := agentRow{Name: strings.ReplaceAll(name, "_", " ")}
	ordinary := r.groups[groupKey{name: "ordinary"}]
	if ordinary == nil {
		ordinary = &reportGroup{gaps: newHistogram(1, 2, 1), stakes: newHistogram(1, 2, 1)}
	}
	gaps := []curve{{honestColour, ordinary.gaps, true}}
	stakes := []curve{{honestColour, ordinary.stakes, true}}
	events := make([]float64, r.bins)
	for level, colour := range levelColours() {
		if !fraud && level > 0 {
			break
		}
		g := r.groups[groupKey{name, fraud, level}]
		if g == nil {
			continue
		}
		if !fraud {
			colour = moneyColour
		}
		row.Players += g.players
		for i, n := range g.events {
			events[i] += n
		}
		if g != ordinary {
			gaps = append(gaps, curve{colour, g.gaps, false})
			stakes = append(stakes, curve{colour, g.stakes, false})
		}
	}
	if fraud {
		row.Loss = thousands(r.lossOf[name])
	}
	row.Time = spark(events)
	row.Gaps = facet(gaps, []mark{{1, "1 s"}, {2.5, ""}, {7.2, "7.2"}, {30, "30"}, {100, "100"}}, 7.2)
	row.Stakes = facet(stakes, []mark{{0.1, ".1"}, {1, "1"}, {10, "10"}, {100, "100"}}, 0.4)
	return row
}

func rowOf(f Figure) figureRow {
	row := figureRow{Figure: f, Published: number(f.Low), Simulated: number(f.Got)}
	if f.High != f.Low {
		row.Published += " to " + number(f.High)
	}
	// From nothing to twice what was published.
	const width, height = 220.0, 16.0
	scale := width / (2 * f.High)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bar" viewBox="0 0 %g %g" role="img"><rect x="0" y="7" width="%g" height="2" fill="#d5dae0"/>`, width, height, width)
	fmt.Fprintf(&b, `<rect x="%.1f" y="2" width="%.1f" height="12" fill="%s" opacity=".55"/>`, f.Low*scale-2, (f.High-f.Low)*scale+4, honestColour)
	if !math.IsNaN(f.Got) {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="8" r="4.5" fill="%s"/>`, min(max(f.Got*scale, 4), width-4), moneyColour)
	}
	b.WriteString(`</svg>`)
	row.Bar = template.HTML(b.String()) //nolint:gosec // made of numbers alone
	return row
}

// number writes three digits that matter.
func number(x float64) string {
	if math.IsNaN(x) {
		return "none"
	}
	if math.Abs(x) >= 100 {
		return thousands(x)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// thousands writes a whole number with spaces between the thousands.
func thousands(x float64) string {
	s := strconv.FormatFloat(math.Abs(math.Round(x)), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	if x <= -0.5 {
		return "-" + s
	}
	return s
}

func percent(part, of float64) string {
	if of == 0 {
		return "none"
	}
	return strconv.FormatFloat(100*part/of, 'f', 1, 64) + " %"
}
