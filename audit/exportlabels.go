package audit

import (
	"fmt"
	"time"

	"pitboss/features"
)

// maxExportLabels bounds what an export keeps in memory: some 3 GB of labels.
const maxExportLabels = 20_000_000

// labelBook has the label of every event that has one: of several, the one that was received last.
type labelBook struct {
	byEvent map[features.EventKey]labelEntry
	knownBy int64
	// names are each kept once: labels are many and their words few.
	names map[string]string
}

type labelEntry struct {
	Label

	pos uint64
}

// exportLabel is a label as a frame has it.
type exportLabel struct {
	Label

	target features.EventKey
	pos    uint64
}

func newLabelBook(knownBy time.Time) *labelBook {
	b := &labelBook{byEvent: map[features.EventKey]labelEntry{}, names: map[string]string{}}
	if !knownBy.IsZero() {
		b.knownBy = knownBy.UnixMicro()
	}
	return b
}

func (b *labelBook) add(l *exportLabel) error {
	if b.knownBy != 0 && l.ReceivedAt > b.knownBy {
		return nil
	}
	have, ok := b.byEvent[l.target]
	if ok && (have.ReceivedAt > l.ReceivedAt || have.ReceivedAt == l.ReceivedAt && have.pos > l.pos) {
		return nil
	}
	if !ok && len(b.byEvent) >= maxExportLabels {
		return fmt.Errorf("more than %d events have labels: they would not fit in memory", maxExportLabels)
	}
	l.Name, l.Source = b.once(l.Name), b.once(l.Source)
	b.byEvent[l.target] = labelEntry{l.Label, l.pos}
	return nil
}

func (b *labelBook) once(s string) string {
	if kept, ok := b.names[s]; ok {
		return kept
	}
	if len(b.names) < 1<<16 {
		b.names[s] = s
	}
	return s
}

func (b *labelBook) find(key features.EventKey) *Label {
	entry, ok := b.byEvent[key]
	if !ok {
		return nil
	}
	return &entry.Label
}
