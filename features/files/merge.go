package files

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"time"
)

// merger puts the labels of a sorted file between its events, each at its time. A label goes before an event of the same
// moment: it was known then.
type merger struct {
	read    func() (*Row, []*Row, error)
	ahead   *Row // the event that comes next in the file
	done    bool
	pending rowHeap
	pushed  int64
}

func (m *merger) next() (*Row, error) {
	if m.ahead == nil && !m.done {
		if err := m.fill(); err != nil {
			return nil, err
		}
	}
	if len(m.pending.rows) > 0 && (m.ahead == nil || m.pending.rows[0].at <= micros(m.ahead.Event)) {
		return heap.Pop(&m.pending).(timedRow).Row, nil
	}
	if m.ahead == nil {
		return nil, io.EOF
	}
	row := m.ahead
	before := micros(row.Event)
	if err := m.fill(); err != nil {
		return nil, err
	}
	if m.ahead != nil && micros(m.ahead.Event) < before {
		return nil, fmt.Errorf("row %d goes back in time, from %s to %s: let it be sorted (order: unsorted in the map, or --sort)",
			m.ahead.Number, time.UnixMicro(before).UTC().Format(time.RFC3339Nano), m.ahead.ReceivedAt().Format(time.RFC3339Nano))
	}
	return row, nil
}

// fill reads the row after and lets its labels wait.
func (m *merger) fill() error {
	row, labels, err := m.read()
	m.ahead = row
	if errors.Is(err, io.EOF) {
		m.ahead, m.done = nil, true
		return nil
	}
	if err != nil {
		return err
	}
	for _, l := range labels {
		m.pushed++
		heap.Push(&m.pending, timedRow{l, micros(l.Event), m.pushed})
	}
	if len(m.pending.rows) > maxPending {
		return fmt.Errorf("more than %d labels wait for their time: let the file be sorted on disk (order: unsorted in the map, or --sort)", maxPending)
	}
	return nil
}

func (m *merger) close() error { return nil }

// timedRow is a row with its time; order keeps rows of the same moment in the order they came.
type timedRow struct {
	*Row
	at, order int64
}

func (t timedRow) before(o timedRow) bool { return t.at < o.at || t.at == o.at && t.order < o.order }

type rowHeap struct{ rows []timedRow }

func (h *rowHeap) Len() int           { return len(h.rows) }
func (h *rowHeap) Less(i, j int) bool { return h.rows[i].before(h.rows[j]) }
func (h *rowHeap) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *rowHeap) Push(x any)         { h.rows = append(h.rows, x.(timedRow)) }
func (h *rowHeap) Pop() any {
	n := len(h.rows) - 1
	last := h.rows[n]
	h.rows[n] = timedRow{}
	h.rows = h.rows[:n]
	return last
}
