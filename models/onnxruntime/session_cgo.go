//go:build cgo

package onnxruntime

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"pitboss/models"
)

// session is a graph in C: one session, which any number of threads may run, and for each processor a slot with tensors of
// its own, so that a row costs no memory.
type session struct {
	width  int  // values that the graph gives of a row
	double bool // they are of type double

	run   *ort.DynamicAdvancedSession
	slots []*slot
	free  chan *slot // those that no row is in
	gone  sync.Once
}

// slot is what one row goes through at a time. Its tensors lie in Go's memory, which C reads and writes while a row is run: it
// is pinned until the slot is destroyed.
type slot struct {
	session *ort.DynamicAdvancedSession
	binding *ort.IoBinding
	tensors []ort.Value
	pins    runtime.Pinner
	in      []array // by input
	out     array
	values  []float64
}

// array is the memory of a tensor: one of the two is nil.
type array struct {
	f32 []float32
	f64 []float64
}

// newSession opens a graph and tries a few rows. It takes the plan's output as it is where the margins do not give it.
func newSession(data []byte, g *Graph, p *plan) (_ *session, err error) {
	if !g.isOutput(p.fetch) {
		data = shown(data, p.fetch)
	}
	if p.output != p.fetch && !g.isOutput(p.output) {
		data = shown(data, p.output)
	}
	process.live.Add(1)
	s := &session{}
	defer func() {
		if err != nil {
			s.destroy()
		}
	}()
	shape, err := s.try(data, p)
	if err != nil {
		return nil, err
	}
	if s.run, err = open(data, p, p.fetch); err != nil {
		return nil, err
	}
	n := runtime.GOMAXPROCS(0)
	s.free = make(chan *slot, n)
	for range n {
		sl := &slot{session: s.run}
		s.slots = append(s.slots, sl)
		if err := sl.bind(p, shape, s.double); err != nil {
			return nil, fmt.Errorf("cannot make its tensors: %w", err)
		}
		s.free <- sl
	}
	return s, nil
}

// open makes a session with one thread: a row is too small to be shared between several.
func open(data []byte, p *plan, outputs ...string) (_ *ort.DynamicAdvancedSession, err error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("cannot make options of a session: %w", err)
	}
	defer func() { err = errors.Join(err, o.Destroy()) }()
	err = errors.Join(
		o.SetIntraOpNumThreads(1), o.SetInterOpNumThreads(1), o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetLogSeverityLevel(ort.LoggingLevelFatal), o.AddSessionConfigEntry("session.use_env_allocators", "1"),
	)
	if err != nil {
		return nil, fmt.Errorf("cannot set options of a session: %w", err)
	}
	names := make([]string, len(p.inputs))
	for i := range p.inputs {
		names[i] = p.inputs[i].Name
	}
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(data, names, outputs, o)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime refuses it: %w: %w", err, models.ErrUnsupported)
	}
	return s, nil
}

// destroy gives everything in C back, once.
func (s *session) destroy() {
	s.gone.Do(func() {
		for _, sl := range s.slots {
			sl.destroy()
		}
		if s.run != nil {
			_ = s.run.Destroy() // it never fails
		}
		process.live.Add(-1)
	})
}

func (s *session) take() *slot  { return <-s.free }
func (s *session) put(sl *slot) { s.free <- sl }

// bind makes the slot's tensors and ties them to the graph's inputs and output.
func (sl *slot) bind(p *plan, shape ort.Shape, double bool) error {
	binding, err := sl.session.CreateIoBinding()
	if err != nil {
		return fmt.Errorf("no binding: %w", err)
	}
	sl.binding = binding
	width := len(p.columns) / len(p.inputs)
	for i := range p.inputs {
		var v ort.Value
		var a array
		if v, a, err = sl.tensor(ort.NewShape(1, int64(width)), p.inputs[i].Type == "double"); err != nil {
			return err
		}
		sl.in = append(sl.in, a)
		if err = sl.binding.BindInput(p.inputs[i].Name, v); err != nil {
			return fmt.Errorf("input %.64q: %w", p.inputs[i].Name, err)
		}
	}
	v, a, err := sl.tensor(shape, double)
	if err != nil {
		return err
	}
	sl.out, sl.values = a, make([]float64, shape.FlattenedSize())
	if err := sl.binding.BindOutput(p.fetch, v); err != nil {
		return fmt.Errorf("output %.64q: %w", p.fetch, err)
	}
	return nil
}

// tensor makes one over pinned memory.
func (sl *slot) tensor(shape ort.Shape, double bool) (v ort.Value, a array, err error) {
	if double {
		a.f64 = make([]float64, shape.FlattenedSize())
		sl.pins.Pin(&a.f64[0])
		v, err = ort.NewTensor(shape, a.f64)
	} else {
		a.f32 = make([]float32, shape.FlattenedSize())
		sl.pins.Pin(&a.f32[0])
		v, err = ort.NewTensor(shape, a.f32)
	}
	if err != nil {
		return nil, a, fmt.Errorf("no tensor of shape %v: %w", shape, err)
	}
	sl.tensors = append(sl.tensors, v)
	return v, a, nil
}

func (sl *slot) destroy() {
	if sl.binding != nil {
		_ = sl.binding.Destroy() // it never fails, as the tensors' never does
	}
	for _, v := range sl.tensors {
		_ = v.Destroy()
	}
	sl.pins.Unpin()
	sl.binding, sl.tensors = nil, nil
}

// run gives what the graph makes of a row. The values are the slot's, until its next run. On an error, at is the column that
// is to blame, or -1.
func (sl *slot) run(row []float64) (values []float64, at int, err error) {
	if at, err = fill(sl.in, row); err != nil {
		return nil, at, err
	}
	if err := sl.session.RunWithBinding(sl.binding); err != nil {
		return nil, -1, fmt.Errorf("the graph fails: %w", err)
	}
	for i, v := range sl.out.f32 {
		sl.values[i] = float64(v)
	}
	copy(sl.values, sl.out.f64)
	return sl.values, -1, nil
}

// fill writes a row into the inputs. NaN goes as it is.
func fill(in []array, row []float64) (at int, err error) {
	for i := range in {
		a := &in[i]
		for j := range a.f32 {
			v := float32(row[at])
			if math.IsInf(float64(v), 0) {
				return at, fmt.Errorf("the graph takes float32, and nothing infinite: %w", models.ErrRow)
			}
			a.f32[j] = v
			at++
		}
		for j := range a.f64 {
			if math.IsInf(row[at], 0) {
				return at, fmt.Errorf("nothing infinite is scored: %w", models.ErrRow)
			}
			a.f64[j] = row[at]
			at++
		}
	}
	return -1, nil
}

// price measures what a row costs, in microseconds: the median of at most 200 rows or a quarter of a second. Rows that the
// graph refuses do not count; that it takes one is known.
func (s *session) price() (float64, error) {
	const warm, most, limit = 10, 200, 250 * time.Millisecond
	sl := s.take()
	defer s.put(sl)
	n := 0
	for i := range sl.in {
		n += len(sl.in[i].f32) + len(sl.in[i].f64)
	}
	row := make([]float64, n)
	var took []float64
	begin := time.Now()
	for i := range most {
		tryRow(row, i%tries)
		start := time.Now()
		_, _, err := sl.run(row)
		if d := time.Since(start); err == nil && (i >= warm || d > limit/warm) {
			took = append(took, float64(d.Nanoseconds())/1e3)
		}
		if len(took) > 0 && time.Since(begin) > limit {
			break
		}
	}
	if len(took) == 0 {
		return 0, errors.New("it scores none of the rows that it is measured with")
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
