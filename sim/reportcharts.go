package sim

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// series is one line over time.
type series struct {
	name, colour string
	values       []float64
}

// lines draws series over the report's time, with days marked.
func (r *Report) lines(all []series) template.HTML {
	const width, height, left, bottom, top = 960.0, 220.0, 64.0, 22.0, 8.0
	low, high := 0.0, 1.0
	for _, s := range all {
		high, low = max(high, slices.Max(s.values)), min(low, slices.Min(s.values))
	}
	x := func(i int) float64 { return left + (width-left-6)*float64(i)/float64(max(r.bins-1, 1)) }
	y := func(v float64) float64 { return top + (height-top-bottom)*(high-v)/(high-low) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="wide" viewBox="0 0 %g %g" role="img">`, width, height)
	for _, v := range []float64{low, 0, high / 2, high} {
		fmt.Fprintf(&b, `<line x1="%g" x2="%g" y1="%.1f" y2="%.1f" class="grid"/><text x="%g" y="%.1f" class="end">%s</text>`,
			left, width-6, y(v), y(v), left-6, y(v)+4, thousands(v))
	}
	perDay := float64(day) / float64(r.width)
	days := int(float64(r.bins)/perDay + 0.5)
	every := max(1, days/14)
	from, _ := r.ends()
	for d := 0; d < days; d += every {
		at := x(int(float64(d) * perDay))
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%g" y2="%g" class="grid"/><text x="%.1f" y="%g">%s</text>`, at, at, top, height-bottom,
			at+3, height-7, from.AddDate(0, 0, d).Format("Mon 2 Jan"))
	}
	for _, s := range all {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.6" points="`, s.colour)
		for i, v := range s.values {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(i), y(v))
		}
		b.WriteString(`"/>`)
	}
	b.WriteString(`</svg><p class="legend">`)
	for _, s := range all {
		fmt.Fprintf(&b, `<span><i style="background:%s"></i>%s</span>`, s.colour, template.HTMLEscapeString(s.name))
	}
	b.WriteString(`</p>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and names of ours
}

// spark draws how many events there were over time.
func spark(values []float64) template.HTML {
	const width, height = 200.0, 34.0
	high := max(slices.Max(values), 1)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %g %g" role="img"><path fill="%s" d="M0 %g`, width, height, moneyColour, height)
	for i, v := range values {
		x := width * float64(i) / float64(len(values))
		fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", x, height-(height-2)*v/high, x+width/float64(len(values)), height-(height-2)*v/high)
	}
	fmt.Fprintf(&b, `L%g %gZ"/></svg>`, width, height)
	return template.HTML(b.String()) //nolint:gosec // made of numbers alone
}

// curve is one histogram of a facet; filled ones lie behind.
type curve struct {
	colour string
	h      *histogram
	filled bool
}

type mark struct {
	at   float64
	text string
}

// facet draws histograms over each other, each to the height of its own highest bin, with the published figure as a line.
func facet(curves []curve, marks []mark, published float64) template.HTML {
	const width, height, bottom = 250.0, 96.0, 16.0
	first := curves[0].h
	span := first.step * float64(len(first.bins))
	x := func(v float64) float64 { return width * logarithm(v/first.low) / span }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="facet" viewBox="0 0 %g %g" role="img">`, width, height)
	for _, c := range curves {
		if c.h.n == 0 {
			continue
		}
		high := slices.Max(c.h.bins)
		style := fmt.Sprintf(`fill="none" stroke=%q stroke-width="1.5"`, c.colour)
		if c.filled {
			style = fmt.Sprintf(`fill=%q opacity=".4"`, c.colour)
		}
		fmt.Fprintf(&b, `<path %s d="M0 %g`, style, height-bottom)
		w := width / float64(len(c.h.bins))
		for i, n := range c.h.bins {
			y := height - bottom - (height-bottom-4)*n/high
			fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", w*float64(i), y, w*float64(i+1), y)
		}
		fmt.Fprintf(&b, `L%g %g"/>`, width, height-bottom)
	}
	fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="2" y2="%g" class="published"/>`, x(published), x(published), height-bottom)
	for _, m := range marks {
		if at := x(m.at); at >= 0 && at <= width {
			fmt.Fprintf(&b, `<text x="%.1f" y="%g" class="mid">%s</text>`, min(max(at, 6), width-10), height-3, m.text)
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // made of numbers, and texts of ours
}
