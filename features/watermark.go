package features

import (
	"encoding/binary"
	"maps"
	"math"
	"time"
)

// ProducerWatermark is how far a producer's events have come.
type ProducerWatermark struct {
	// Tenant and Producer name it; Producer is empty for all that give no producer_id.
	Tenant, Producer string
	// At is the watermark: the producer's newest event time less EngineConfig.WatermarkLag, microseconds. Hardly an event of
	// it that is older is still to come.
	At int64
	// Received is when its newest event was received.
	Received int64
	// Active says that it takes part in the watermark of all.
	Active bool
}

// producers keep how far each producer has come. All of it is a function of the frames, in their order.
type producers struct {
	list  []producer
	index map[producerKey]int
	// received is the newest received_at of all.
	received int64
	// overall is the newest event time that all active producers have reached, without the lag. It never falls.
	overall int64
	// holder is the active producer with the oldest newest event, -1 where it is to be found.
	holder int
	// dropped counts producers that were forgotten because there were too many.
	dropped uint64
}

type producerKey struct{ tenant, name string }

type producer struct {
	producerKey
	newest, received int64
}

// note enters an event's times.
func (p *producers) note(cfg *EngineConfig, key producerKey, occurred, received int64) {
	p.received = max(p.received, received)
	at, ok := p.index[key]
	if !ok {
		at = p.place(cfg, key)
	}
	m := &p.list[at]
	m.newest, m.received = max(m.newest, occurred), max(m.received, received)
	switch {
	case p.holder < 0 || p.holder == at || !p.active(cfg, p.holder):
		p.findHolder(cfg)
	case m.newest < p.list[p.holder].newest: // it was not active before, or is new
		p.holder = at
	}
	p.overall = max(p.overall, p.list[p.holder].newest)
}

// place gives a producer its place; of too many, the one that was heard of longest ago is forgotten.
func (p *producers) place(cfg *EngineConfig, key producerKey) int {
	fresh := producer{producerKey: key, newest: math.MinInt64, received: math.MinInt64}
	at := len(p.list)
	if at < cfg.MaxProducers {
		p.list = append(p.list, fresh)
	} else {
		at = 0
		for i := range p.list {
			if p.list[i].received < p.list[at].received {
				at = i
			}
		}
		delete(p.index, p.list[at].producerKey)
		p.list[at] = fresh
		p.dropped++
		p.holder = -1
	}
	if p.index == nil {
		p.index, p.holder = map[producerKey]int{}, -1
	}
	p.index[key] = at
	return at
}

func (p *producers) active(cfg *EngineConfig, i int) bool {
	return p.list[i].received >= p.received-cfg.ProducerActive.Microseconds()
}

// findHolder finds the active producer that is the furthest behind. There is one: the newest received.
func (p *producers) findHolder(cfg *EngineConfig) {
	p.holder = -1
	for i := range p.list {
		if p.active(cfg, i) && (p.holder < 0 || p.list[i].newest < p.list[p.holder].newest) {
			p.holder = i
		}
	}
}

// append encodes: received, overall varint | producers uvarint, then each: tenant, name (length and bytes), newest, received
// varint.
func (p *producers) append(b []byte) []byte {
	b = binary.AppendVarint(b, p.received)
	b = binary.AppendVarint(b, p.overall)
	b = binary.AppendUvarint(b, uint64(len(p.list)))
	for i := range p.list {
		m := &p.list[i]
		for _, text := range [...]string{m.tenant, m.name} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
		b = binary.AppendVarint(b, m.newest)
		b = binary.AppendVarint(b, m.received)
	}
	return b
}

func decodeProducers(r *blobReader) producers {
	p := producers{received: r.varint(), overall: r.varint(), holder: -1, index: map[producerKey]int{}}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		m := producer{producerKey: producerKey{string(r.bytes()), string(r.bytes())}}
		m.newest, m.received = r.varint(), r.varint()
		p.index[m.producerKey] = len(p.list)
		p.list = append(p.list, m)
	}
	return p
}

// clone gives a copy that nobody changes.
func (p *producers) clone() producers {
	c := *p
	c.list = append([]producer(nil), p.list...)
	c.index = make(map[producerKey]int, len(p.index))
	maps.Copy(c.index, p.index)
	return c
}

// Watermark is how far event time has come, microseconds: the oldest watermark among the producers that were heard of in
// the last EngineConfig.ProducerActive. It never falls; 0 is before the first event. Whatever waits for events to be
// complete, waits for it.
func (e *Engine) Watermark() int64 { return e.watermark.Load() }

// Producers gives the watermark of each producer, in the order of their first appearance, and how many were forgotten
// because there were more than EngineConfig.MaxProducers.
func (e *Engine) Producers() (list []ProducerWatermark, dropped uint64) {
	e.seq.Lock()
	defer e.seq.Unlock()
	p := &e.sequencer.producers
	for i := range p.list {
		m := &p.list[i]
		list = append(list, ProducerWatermark{
			Tenant: m.tenant, Producer: m.name, At: e.lagged(m.newest), Received: m.received, Active: p.active(&e.cfg, i),
		})
	}
	return list, p.dropped
}

func (e *Engine) lagged(newest int64) int64 { return lagged(newest, e.cfg.WatermarkLag) }

func lagged(newest int64, lag time.Duration) int64 { return max(0, newest-lag.Microseconds()) }

// noteProducer moves the watermarks; the caller holds seq.
func (e *Engine) noteProducer(ev *Event) {
	e.sequencer.producers.note(&e.cfg, producerKey{ev.Tenant, ev.Msg.GetProducerId()}, ev.OccurredAt, ev.ReceivedAt)
	e.watermark.Store(e.lagged(e.sequencer.producers.overall))
}

// Watermarks work the watermark out of frames that are read without an engine, in their order.
type Watermarks struct {
	cfg  EngineConfig
	seen producers
}

// NewWatermarks makes them, by the configuration's watermark_lag, producer_active and max_producers.
func NewWatermarks(cfg EngineConfig) *Watermarks {
	return &Watermarks{cfg: cfg, seen: producers{holder: -1}}
}

// Note enters an event by its tenant, producer_id and times in microseconds.
func (w *Watermarks) Note(tenant, producer string, occurredAt, receivedAt int64) {
	w.seen.note(&w.cfg, producerKey{tenant, producer}, occurredAt, receivedAt)
}

// At is Engine.Watermark after the same events.
func (w *Watermarks) At() int64 { return lagged(w.seen.overall, w.cfg.WatermarkLag) }
