package simulator

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
)

// The measures of the picture, in pixels.
const (
	pictureWidth = 1040
	plotLeft     = 80
	plotWidth    = 900 // a column of the picture is a pixel
	plotHeight   = 280
	poolHeight   = plotHeight + 150
	legendColumn = 180
)

// colours are those of the queues: Paul Tol's "muted" scheme, which people who
// see few colours tell apart too, and a grey at its end.
var colours = []string{
	"#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#bbbbbb",
}

// band is what one queue, or several together, held of a pool over time.
type band struct {
	name    string
	colour  string
	columns []int64 // the mean of each, in thousandths of cores
	total   int64
}

// WritePicture draws as SVG which queue held how many cores of each pool over
// time. With more queues than colours, those that held least are one band.
func (r *Result) WritePicture(w io.Writer) error {
	var b strings.Builder
	legend := (min(len(r.queues), len(colours))*legendColumn+plotWidth-1)/plotWidth*22 + 22
	height := 50 + (poolHeight+legend)*len(r.pools)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" fill="#222222">`+"\n", pictureWidth, height, pictureWidth, height)
	b.WriteString("<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n")
	fmt.Fprintf(&b, `<text x="%d" y="32" font-size="18" font-weight="600">%s</text>`+"\n", plotLeft,
		escaped(fmt.Sprintf("%s on %s, seed %d", cmp.Or(r.Workload, "The workload"), cmp.Or(r.Clusters, "the clusters"), r.Seed)))
	for i, c := range r.pools {
		r.drawPool(&b, c, 50+i*(poolHeight+legend))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder fails never
	return b.String()
}

// drawPool draws one pool from a line of the picture on.
func (r *Result) drawPool(b *strings.Builder, c capacity, top int) {
	has := r.amount(&c.has, armada.CPU)
	bands := r.bands(c.pool)
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="15" font-weight="600">Pool %s: %s cores on %d nodes</text>`+"\n", plotLeft, top+18, escaped(c.pool), cores(has), c.nodes)
	line := top + 42
	for i, band := range bands {
		x, y := plotLeft+i%(plotWidth/legendColumn)*legendColumn, line+i/(plotWidth/legendColumn)*22
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="14" height="14" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n", x, y-12, band.colour, x+20, y, escaped(shortened(band.name)))
	}
	line += (len(bands)*legendColumn+plotWidth-1)/plotWidth*22 + 16
	bottom := line + plotHeight
	limit := has + has/20 // a little above what there is
	r.drawAxes(b, line, has, limit)

	beneath := make([]int64, plotWidth)
	for _, band := range bands {
		fmt.Fprintf(b, `<path d="%s" fill="%s" stroke="#ffffff" stroke-width="0.6"><title>%s</title></path>`+"\n", area(beneath, band.columns, limit, bottom), band.colour, escaped(band.name))
		for x, amount := range band.columns {
			beneath[x] += amount
		}
	}
	y := bottom*10 - int(scaled(has, limit))
	fmt.Fprintf(b, `<path d="M%d %sh%d" stroke="#222222" stroke-width="1.2" stroke-dasharray="6 4"/>`+"\n", plotLeft, tenths(y), plotWidth)
	fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end" font-size="12">all there is</text>`+"\n", plotLeft+plotWidth-4, tenths(y-50))
}

// shortened fits a name into the legend.
func shortened(name string) string {
	const longest = 22
	if letters := []rune(name); len(letters) > longest {
		return string(letters[:longest-1]) + "…"
	}
	return name
}

// drawAxes draws the lines of both axes, with what they say.
func (r *Result) drawAxes(b *strings.Builder, top int, has, limit int64) {
	bottom := top + plotHeight
	b.WriteString(`<g stroke="#dddddd" fill="none">` + "\n")
	step := coreStep(has)
	for amount := int64(0); amount <= limit; amount += step {
		fmt.Fprintf(b, `<path d="M%d %sh%d"/>`, plotLeft, tenths(bottom*10-int(scaled(amount, limit))), plotWidth)
	}
	b.WriteString("\n</g>\n<g font-size=\"12\" fill=\"#444444\">\n")
	for amount := int64(0); amount <= limit; amount += step {
		fmt.Fprintf(b, `<text x="%d" y="%s" text-anchor="end">%s</text>`, plotLeft-8, tenths(bottom*10-int(scaled(amount, limit))+40), cores(amount))
	}
	every := timeStep(r.End)
	for at := time.Duration(0); at <= r.End; at += every {
		x := plotLeft*10 + int(at.Milliseconds()*plotWidth*10/max(1, r.End.Milliseconds()))
		fmt.Fprintf(b, `<path d="M%s %dv5" stroke="#444444"/><text x="%s" y="%d" text-anchor="middle">%s</text>`, tenths(x), bottom, tenths(x), bottom+20, clock(at, every))
	}
	unit := "hours:minutes"
	if every < time.Minute {
		unit = "minutes:seconds"
	}
	fmt.Fprintf(b, "\n"+`<text x="%d" y="%d" text-anchor="middle">time since the beginning (%s)</text>`, plotLeft+plotWidth/2, bottom+42, unit)
	fmt.Fprintf(b, `<text transform="translate(22 %d) rotate(-90)" text-anchor="middle">cores held</text>`+"\n</g>\n", top+plotHeight/2)
}

// bands puts together what the queues held of a pool, those that are drawn
// first at the bottom.
func (r *Result) bands(pool string) []band {
	all := make([]band, len(r.queues))
	for i, name := range r.queues {
		all[i] = band{name: name, columns: r.columns(pool, name)}
		for _, amount := range all[i].columns {
			all[i].total += amount
		}
	}
	if len(all) > len(colours) {
		byTotal := slices.Clone(all)
		slices.SortStableFunc(byTotal, func(a, b band) int { return cmp.Compare(b.total, a.total) })
		least := byTotal[len(colours)-1:]
		others := band{name: fmt.Sprintf("%d others", len(least)), columns: make([]int64, plotWidth)}
		for _, o := range least {
			for x, amount := range o.columns {
				others.columns[x] += amount
			}
			all = slices.DeleteFunc(all, func(b band) bool { return b.name == o.name })
		}
		all = append(all, others)
	}
	for i := range all {
		all[i].colour = colours[i]
	}
	return all
}

// columns are what a queue held in the time of each column, averaged.
func (r *Result) columns(pool, queue string) []int64 {
	cpu, _ := r.table.Index(armada.CPU) // every table has it; else the first resource stands for it
	columns := make([]int64, plotWidth)
	end := r.End.Milliseconds()
	var since, amount int64
	add := func(until int64) {
		if end == 0 || amount == 0 {
			since = until
			return
		}
		for x := since * plotWidth / end; x < plotWidth && x*end < until*plotWidth; x++ {
			from, to := max(since*plotWidth, x*end), min(until*plotWidth, (x+1)*end)
			columns[x] += amount * (to - from) / end
		}
		since = until
	}
	for i := range r.held {
		h := &r.held[i]
		if h.pool == pool && h.queue == queue {
			add(min(h.at.Milliseconds(), end))
			amount = h.allocated[cpu]
		}
	}
	add(end)
	return columns
}

// area is the path around a band that lies on what is beneath it.
func area(beneath, columns []int64, limit int64, bottom int) string {
	var b strings.Builder
	b.WriteByte('M')
	point := func(x int, amount int64) {
		fmt.Fprintf(&b, "%d %s ", plotLeft+x, tenths(bottom*10-int(scaled(amount, limit))))
	}
	// A point between two of its own height says nothing.
	needless := func(x int, height func(int) int64) bool {
		return x > 0 && x < len(columns)-1 && height(x-1) == height(x) && height(x+1) == height(x)
	}
	upper := func(x int) int64 { return beneath[x] + columns[x] }
	lower := func(x int) int64 { return beneath[x] }
	for x := range columns {
		if !needless(x, upper) {
			point(x, upper(x))
		}
	}
	point(len(columns), upper(len(columns)-1))
	point(len(columns), lower(len(columns)-1))
	for x := len(columns) - 1; x >= 0; x-- {
		if !needless(x, lower) {
			point(x, lower(x))
		}
	}
	return b.String() + "Z"
}

// scaled is the height of an amount, in tenths of a pixel.
func scaled(amount, limit int64) int64 {
	return int64(float64(amount) / float64(max(1, limit)) * plotHeight * 10)
}

// tenths writes tenths of a pixel as pixels.
func tenths(n int) string { return strconv.FormatFloat(float64(n)/10, 'f', -1, 64) }

// cores writes thousandths of cores, in groups of three digits.
func cores(milli int64) string {
	text := strconv.FormatInt(milli/1000, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	if rest := milli % 1000; rest != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%03d", rest), "0")
	}
	return text
}

// coreStep is a round number of thousandths, of which about five fit.
func coreStep(has int64) int64 {
	for decade := int64(100); ; decade *= 10 {
		for _, factor := range []int64{1, 2, 5} {
			if decade*factor*6 >= has {
				return decade * factor
			}
		}
	}
}

// timeStep is a round time of which at most ten fit.
func timeStep(end time.Duration) time.Duration {
	for _, step := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
		30 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if step*10 >= end {
			return step
		}
	}
	return (end/10/(24*time.Hour) + 1) * 24 * time.Hour
}

// clock writes a moment of an axis.
func clock(at, every time.Duration) string {
	if every < time.Minute {
		return fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
	}
	return fmt.Sprintf("%d:%02d", int(at.Hours()), int(at.Minutes())%60)
}
