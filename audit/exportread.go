package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

const (
	// exportBatch is how many frames are decoded at a time, exportAhead how many batches wait for their turn.
	exportBatch, exportAhead = 256, 8
)

// exportItem is one frame on its way through an export.
type exportItem struct {
	time int64
	// tenant and producer sent the event that the frame applied, which happened at occurred; occurred is 0 without one.
	tenant, producer string
	occurred         int64

	erased  bool
	decided bool
	label   *exportLabel
	example Example
}

// exportWork is a run of frames.
type exportWork struct {
	frames []journal.Frame
	items  []exportItem
	err    error
	ready  chan struct{}
}

// scan reads all frames, decodes them side by side and gives them to use one after the other, in order.
func (e *exporter) scan(ctx context.Context, decode func(*journal.Frame, *exportItem) error, use func(*exportItem) error) error {
	cursor, err := e.cfg.Journal.Read(journal.Pos{})
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		cancel()
		wg.Wait()
		_ = cursor.Close() // it was only read
	}()
	// What waits in the queue goes to the decoders too, so nothing is waited for that nobody decodes. Done work is used again.
	queue, work, free := make(chan *exportWork, exportAhead), make(chan *exportWork, exportAhead), make(chan *exportWork, exportAhead+2)
	wg.Go(func() {
		defer close(queue)
		defer close(work)
		e.readAhead(ctx, cursor, queue, work, free)
	})
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for w := range work {
				w.decode(decode)
				close(w.ready)
			}
		})
	}
	for w := range queue {
		<-w.ready
		for i := range w.items {
			if err := use(&w.items[i]); err != nil {
				return err
			}
		}
		if w.err != nil {
			return w.err
		}
		e.done += int64(len(w.items))
		if e.cfg.OnProgress != nil {
			e.cfg.OnProgress(e.done, e.total, e.summary.Examples)
		}
		select {
		case free <- w:
		default:
		}
	}
	return ctx.Err() // a reader that was stopped says nothing
}

// readAhead reads to the frame that was the last when the export began. The last batch carries what went wrong.
func (e *exporter) readAhead(ctx context.Context, cursor journal.Cursor, queue, work chan<- *exportWork, free <-chan *exportWork) {
	for more := true; more; {
		var w *exportWork
		select {
		case w = <-free:
		default:
			w = &exportWork{}
		}
		w.frames, w.items, w.ready = w.frames[:0], w.items[:0], make(chan struct{})
		for len(w.frames) < exportBatch {
			f, err := cursor.Next(ctx)
			if errors.Is(err, io.EOF) || err == nil && e.head.Less(f.Pos) {
				more = false
				break
			}
			if err != nil {
				w.err, more = fmt.Errorf("cannot read the journal: %w", err), false
				break
			}
			w.frames = append(w.frames, f)
		}
		select {
		case queue <- w:
		case <-ctx.Done():
			return
		}
		work <- w // the decoders end only after this
	}
}

func (w *exportWork) decode(decode func(*journal.Frame, *exportItem) error) {
	for i := range w.frames {
		if len(w.items) < cap(w.items) {
			w.items = w.items[:len(w.items)+1] // with the slices of its last use
		} else {
			w.items = append(w.items, exportItem{})
		}
		f, item := &w.frames[i], &w.items[len(w.items)-1]
		vector := item.example.Vector
		*item = exportItem{time: f.Time, erased: f.Erased}
		item.example.Frame = f.Pos
		item.example.Vector.Values, item.example.Vector.Status = vector.Values[:0], vector.Status[:0]
		if f.Kind != features.FrameEvent || f.Erased {
			item.erased = f.Erased && f.Kind == features.FrameEvent
			continue
		}
		if err := decode(f, item); err != nil {
			w.items = w.items[:len(w.items)-1]
			w.err = errors.Join(fmt.Errorf("cannot read frame %v: %w", f.Pos, err), w.err)
			return
		}
	}
}

// The fields of stored frames that an export reads (proto/pitboss/v1). It skips over the rest: decoding a whole record takes
// ten times as long.
const (
	frameEvent, frameDecision, frameAppliedAt                  = 1, 4, 5
	eventID, eventType, eventTenant, eventTime, eventProducer  = 1, 2, 4, 7, 9
	timestampSeconds, timestampNanos                           = 1, 2
	decisionID, decisionInputs, decisionOutputs, decisionModel = 1, 3, 5, 7
	inputsAt, inputsInside, inputsVector, inputsStatuses       = 1, 2, 4, 5
	inputsSet, inputsBundle                                    = 7, 8
	outputsOutcome, outputsScore, outputsMargin                = 1, 2, 3
	modelName, modelVersion                                    = 1, 2
)

var errTornFrame = errors.New("the frame is torn")

// walk calls f with each field of a message: its number, and its bytes or its value.
func walk(b []byte, f func(field int, bytes []byte, value uint64) error) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errTornFrame
		}
		b = b[n:]
		var bytes []byte
		var value uint64
		switch typ {
		case protowire.BytesType:
			bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			value, n = protowire.ConsumeFixed64(b)
		default:
			n = protowire.ConsumeFieldValue(field, typ, b)
		}
		if n < 0 {
			return errTornFrame
		}
		b = b[n:]
		if err := f(int(field), bytes, value); err != nil {
			return err
		}
	}
	return nil
}

// skimFrame reads of an event's frame when it happened, whether it is a label, and which feature set decided.
func skimFrame(f *journal.Frame, item *exportItem) error {
	return walk(f.Payload, func(field int, b []byte, _ uint64) error {
		switch field {
		case frameEvent:
			typ, err := item.skimEvent(b)
			if err == nil && string(typ) == "label.assigned" {
				err = item.readLabel(f, b)
			}
			return err
		case frameAppliedAt:
			item.occurred = 0 // an earlier frame applied it
		case frameDecision:
			return walk(b, func(field int, b []byte, _ uint64) error {
				if field != decisionInputs {
					return nil
				}
				return item.example.readHashes(b)
			})
		}
		return nil
	})
}

// skimEvent notes who sent an event and when it happened, and gives its type.
func (item *exportItem) skimEvent(event []byte) (typ []byte, err error) {
	err = walk(event, func(field int, b []byte, _ uint64) error {
		switch field {
		case eventType:
			typ = b
		case eventTenant:
			item.tenant = string(b)
		case eventProducer:
			item.producer = string(b)
		case eventTime:
			return walk(b, func(field int, _ []byte, v uint64) error {
				switch field {
				case timestampSeconds:
					item.occurred += int64(v) * 1e6
				case timestampNanos:
					item.occurred += int64(v) / 1000
				}
				return nil
			})
		}
		return nil
	})
	return typ, err
}

func (item *exportItem) readLabel(f *journal.Frame, event []byte) error {
	var msg pb.Event
	if err := proto.Unmarshal(event, &msg); err != nil {
		return fmt.Errorf("cannot decode a label: %w", err)
	}
	l := msg.GetLabelAssigned()
	item.label = &exportLabel{
		Label: Label{
			Name: l.GetLabel(), Source: l.GetSource(), Fraud: l.GetFraud() != 0, ConfidencePPM: l.GetConfidencePpm(),
			OccurredAt: msg.GetOccurredAt().AsTime().UnixMicro(), ReceivedAt: msg.GetReceivedAt().AsTime().UnixMicro(),
		},
		target: features.MakeEventKey(msg.GetTenant(), l.GetTargetEventId()), pos: f.Pos.Offset,
	}
	return nil
}

func (ex *Example) readHashes(inputs []byte) error {
	return walk(inputs, func(field int, b []byte, _ uint64) error {
		switch field {
		case inputsSet:
			copy(ex.setHash[:], b)
		case inputsBundle:
			copy(ex.bundleHash[:], b)
		}
		return nil
	})
}

// readExample reads of an event's frame all that an example has.
func readExample(f *journal.Frame, item *exportItem) error {
	ex := &item.example
	return walk(f.Payload, func(field int, b []byte, _ uint64) error {
		switch field {
		case frameEvent:
			return walk(b, func(field int, b []byte, _ uint64) error {
				switch field {
				case eventID:
					ex.EventID = string(b)
				case eventType:
					ex.EventType = string(b)
				case eventTenant:
					ex.Tenant = string(b)
				}
				return nil
			})
		case frameDecision:
			item.decided = true
			return ex.readDecision(b)
		}
		return nil
	})
}

func (ex *Example) readDecision(b []byte) error {
	return walk(b, func(field int, b []byte, _ uint64) error {
		switch field {
		case decisionID:
			ex.DecisionID = string(b)
		case decisionInputs:
			return ex.readInputs(b)
		case decisionOutputs:
			return walk(b, func(field int, _ []byte, v uint64) error {
				switch field {
				case outputsOutcome:
					ex.Outcome = pb.Outcome(v)
				case outputsScore:
					ex.Score = new(math.Float64frombits(v))
				case outputsMargin:
					ex.Margin = new(math.Float64frombits(v))
				}
				return nil
			})
		case decisionModel:
			return walk(b, func(field int, b []byte, _ uint64) error {
				switch field {
				case modelName:
					ex.Model = string(b)
				case modelVersion:
					ex.ModelVersion = string(b)
				}
				return nil
			})
		}
		return nil
	})
}

func (ex *Example) readInputs(b []byte) error {
	return walk(b, func(field int, b []byte, v uint64) error {
		switch field {
		case inputsAt:
			ex.Vector.At = int64(v)
		case inputsInside:
			ex.Vector.Inside = v != 0
		case inputsVector:
			if len(b)%8 != 0 {
				return errTornFrame
			}
			for ; len(b) > 0; b = b[8:] {
				ex.Vector.Values = append(ex.Vector.Values, math.Float64frombits(binary.LittleEndian.Uint64(b)))
			}
		case inputsStatuses:
			for _, s := range b {
				ex.Vector.Status = append(ex.Vector.Status, features.Status(s))
			}
		case inputsSet:
			copy(ex.setHash[:], b)
		case inputsBundle:
			copy(ex.bundleHash[:], b)
		}
		return nil
	})
}
