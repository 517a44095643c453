package files

import (
	"errors"
	"fmt"
	"io"

	pb "pitboss/proto/pitboss/v1"
)

// Events are the events of a file, in order of time and, at one time, of event_id. It is used by one goroutine.
type Events struct {
	path   string
	opt    Options
	source eventSource
	order  orderer
	// shuffled is between source and order, nil without Options.Shuffle.
	shuffled *shuffler

	kept     []Column
	rejected int64
	given    int64
	counts   map[RejectKey]int64
	progress int64 // the number of rows at which OnProgress is told next
}

// eventSource gives events in the order of the file.
type eventSource interface {
	// next gives the next row's event and labels. A *rejectError is passed over.
	next() (event *Row, labels []*Row, err error)
	progress() Progress
	close() error
}

// orderer gives what eventSource gives in order of time.
type orderer interface {
	next() (*Row, error)
	close() error
}

// OpenEvents opens a file of events. JSON lines are events as they are and take no map; CSV and Parquet need one. The
// format is told by the name's end.
func OpenEvents(path, mapPath string, opt Options) (_ *Events, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cannot read events from %q: %w", path, err)
		}
	}()
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	if format == JSONL {
		if mapPath != "" {
			return nil, fmt.Errorf("JSON lines are events as they are: leave the map %q out", mapPath)
		}
		return openPlain(path, opt)
	}
	if mapPath == "" {
		return nil, fmt.Errorf("a map must say which column is which field (docs/mapping.md)")
	}
	m, err := LoadMap(mapPath)
	if err != nil {
		return nil, err
	}
	var src rowSource
	if format == CSV {
		src, err = openCSV(path, m.csv)
	} else {
		src, err = openParquet(path)
	}
	if err != nil {
		return nil, err
	}
	b, err := m.bind(src)
	if err != nil {
		return nil, errors.Join(err, src.close())
	}
	opt.Sort = opt.Sort || m.unsorted
	e := newEvents(path, opt)
	e.kept = b.kept
	return e.start(&mappedEvents{mapper: b, reject: e.reject}), nil
}

func openPlain(path string, opt Options) (*Events, error) {
	src, err := openJSONL(path)
	if err != nil {
		return nil, err
	}
	return newEvents(path, opt).start(&plainEvents{jsonlSource: src}), nil
}

func newEvents(path string, opt Options) *Events {
	return &Events{path: path, opt: opt, counts: map[RejectKey]int64{}, progress: progressEvery}
}

func (e *Events) start(src eventSource) *Events {
	e.source = src
	read := e.read
	if e.opt.Shuffle != nil {
		e.shuffled = newShuffler(read, e.opt)
		read = e.shuffled.read
	}
	switch {
	case e.opt.AsArrived:
		e.order = &arrival{read: read, labels: rowHeap{compare: inTime}}
	case e.opt.Sort || e.opt.Shuffle != nil:
		e.order = newSorter(read, inTime, e.opt)
	default:
		e.order = &merger{read: read, waiting: rowHeap{compare: inTime}}
	}
	return e
}

// Reordered says that rows come in another order than their places, not only at one moment.
func (e *Events) Reordered() bool { return !e.opt.AsArrived && (e.opt.Sort || e.opt.Shuffle != nil) }

// Columns are the kept columns, in the order of Row.Kept.
func (e *Events) Columns() []Column { return e.kept }

// Next gives the next event in order, and io.EOF after the last. Rows that cannot be read are passed over,
// counted and told to OnReject; any other error ends the file.
func (e *Events) Next() (*Row, error) {
	row, err := e.order.next()
	if errors.Is(err, io.EOF) {
		e.tell(true)
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read events from %q: %w", e.path, err)
	}
	e.given++
	return row, nil
}

const progressEvery = 10_000

// read gives the next row that can be read.
func (e *Events) read() (*Row, []*Row, error) {
	for {
		row, labels, err := e.source.next()
		e.tell(false)
		if r, ok := errors.AsType[*rejectError](err); ok {
			e.reject(r.Reject)
			continue
		}
		return row, labels, err
	}
}

func (e *Events) tell(last bool) {
	if e.opt.OnProgress == nil {
		return
	}
	p := e.Progress()
	if last || p.Rows >= e.progress {
		e.progress = p.Rows + progressEvery
		e.opt.OnProgress(p)
	}
}

func (e *Events) reject(r Reject) {
	e.rejected++
	e.counts[RejectKey{r.Column, r.Reason}]++
	if e.opt.OnReject != nil {
		e.opt.OnReject(r)
	}
}

// Rejects counts what was rejected so far.
func (e *Events) Rejects() map[RejectKey]int64 { return e.counts }

// Progress says how far the file has been read.
func (e *Events) Progress() Progress {
	p := e.source.progress()
	p.Events, p.Rejected = e.given, e.rejected
	p.Sorting = (e.Reordered() || e.opt.Shuffle != nil) && e.given == 0
	return p
}

// Close lets the file go, and what sorting it left.
func (e *Events) Close() error {
	err := errors.Join(e.order.close(), e.source.close())
	if e.shuffled != nil {
		err = errors.Join(err, e.shuffled.close())
	}
	return err
}

// plainEvents are the events of JSON lines.
type plainEvents struct{ *jsonlSource }

func (p *plainEvents) next() (*Row, []*Row, error) {
	row, err := p.jsonlSource.next()
	return row, nil, err
}

// mappedEvents are rows that a map makes events of.
type mappedEvents struct {
	*mapper
	reject  func(Reject)
	scratch []*Row
}

func (m *mappedEvents) next() (*Row, []*Row, error) {
	row, labels, err := m.mapper.next(m.scratch[:0], m.reject)
	m.scratch = labels
	return row, labels, err
}

func (m *mappedEvents) progress() Progress { return m.src.progress() }
func (m *mappedEvents) close() error       { return m.src.close() }

// micros is when an event happened.
func micros(ev *pb.Event) int64 {
	t := ev.GetOccurredAt()
	return t.GetSeconds()*1e6 + int64(t.GetNanos())/1000
}
