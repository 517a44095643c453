package files

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// merger gives the events of a sorted file, and puts their labels between them, each at its time.
type merger struct {
	read func() (*Row, []*Row, error)
	// waiting are rows whose turn is known only when the file's time has passed theirs: labels, and events of one moment.
	waiting rowHeap
	// newest is the time of the last row read.
	newest  int64
	started bool
	done    bool
	pushed  int64
}

func (m *merger) next() (*Row, error) {
	for len(m.waiting.rows) == 0 || !m.done && m.waiting.rows[0].at >= m.newest {
		if m.done {
			return nil, io.EOF
		}
		if err := m.fill(); err != nil {
			return nil, err
		}
	}
	return m.waiting.pop().Row, nil
}

// fill reads one more row.
func (m *merger) fill() error {
	row, labels, err := m.read()
	if errors.Is(err, io.EOF) {
		m.done = true
		return nil
	}
	if err != nil {
		return err
	}
	at := micros(row.Event)
	if m.started && at < m.newest {
		return fmt.Errorf("row %d goes back in time, from %s to %s: let it be sorted (order: unsorted in the map, or --sort)",
			row.Number, time.UnixMicro(m.newest).UTC().Format(time.RFC3339Nano), row.ReceivedAt().Format(time.RFC3339Nano))
	}
	m.newest, m.started = at, true
	for _, r := range append(labels, row) {
		m.pushed++
		m.waiting.push(timedRow{r, micros(r.Event), m.pushed})
	}
	if len(m.waiting.rows) > maxPending {
		return fmt.Errorf("more than %d labels wait for their time: let the file be sorted on disk (order: unsorted in the map, or --sort)", maxPending)
	}
	return nil
}

func (m *merger) close() error { return nil }

// arrival gives rows as they are read; labels wait until the newest time so far has reached theirs.
type arrival struct {
	read   func() (*Row, []*Row, error)
	labels rowHeap
	ahead  *Row
	newest int64
	pushed int64
	done   bool
}

func (a *arrival) next() (*Row, error) {
	if a.ahead == nil && !a.done {
		row, labels, err := a.read()
		switch {
		case errors.Is(err, io.EOF):
			a.done = true
		case err != nil:
			return nil, err
		default:
			a.ahead, a.newest = row, max(a.newest, micros(row.Event))
			for _, l := range labels {
				a.pushed++
				a.labels.push(timedRow{l, micros(l.Event), a.pushed})
			}
			if len(a.labels.rows) > maxPending {
				return nil, fmt.Errorf("more than %d labels wait for their time", maxPending)
			}
		}
	}
	switch {
	case len(a.labels.rows) > 0 && (a.done || a.labels.rows[0].at <= a.newest):
		return a.labels.pop().Row, nil
	case a.ahead == nil:
		return nil, io.EOF
	}
	row := a.ahead
	a.ahead = nil
	return row, nil
}

func (a *arrival) close() error { return nil }

// timedRow is a row with what it is sorted by first; order keeps rows that are equal in all else as they came.
type timedRow struct {
	*Row

	at, order int64
}

// inTime is the order in which events are applied: by time; labels before events of the same moment, since they were known
// then; by event_id. Where one event_id comes twice at one moment, the content decides, so that the order never depends on
// that of the file.
func inTime(a, b timedRow) int {
	if a.at != b.at {
		return cmp.Compare(a.at, b.at)
	}
	if c := cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.Event.GetEventId(), b.Event.GetEventId()),
		strings.Compare(a.Event.GetTenant(), b.Event.GetTenant())); c != 0 {
		return c
	}
	content := proto.MarshalOptions{Deterministic: true}
	left, _ := content.Marshal(a.Event) // what cannot be marshalled is refused later, wherever it stands
	right, _ := content.Marshal(b.Event)
	return cmp.Or(bytes.Compare(left, right), cmp.Compare(a.order, b.order))
}

// rank puts labels first.
func (t timedRow) rank() int {
	if t.Label || t.Event.GetType() == "label.assigned" {
		return 0
	}
	return 1
}

// rowHeap has the first row at its top.
type rowHeap struct {
	rows    []timedRow
	compare func(a, b timedRow) int
}

func (h *rowHeap) push(row timedRow) {
	h.rows = append(h.rows, row)
	rows := h.rows
	for i := len(rows) - 1; i > 0; {
		parent := (i - 1) / 2
		if h.compare(rows[i], rows[parent]) >= 0 {
			return
		}
		rows[i], rows[parent] = rows[parent], rows[i]
		i = parent
	}
}

func (h *rowHeap) pop() timedRow {
	rows := h.rows
	first, n := rows[0], len(rows)-1
	rows[0], rows[n] = rows[n], timedRow{}
	rows = rows[:n]
	h.rows = rows
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return first
		}
		if right := child + 1; right < n && h.compare(rows[right], rows[child]) < 0 {
			child = right
		}
		if h.compare(rows[child], rows[i]) >= 0 {
			return first
		}
		rows[i], rows[child] = rows[child], rows[i]
		i = child
	}
}
