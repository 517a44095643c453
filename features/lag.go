package features

// NoLag is the consumer lag where nobody knows it: no feed reads for the engine, or its brokers are away.
const NoLag int64 = -1

// NoteLag tells how many records whoever feeds the engine has not read yet, NoLag where it does not know. Vectors carry it
// from then on; it is no input of any value.
func (e *Engine) NoteLag(records int64) { e.lag.Store(max(NoLag, records) + 1) }

// Lag is what NoteLag was told last, NoLag before.
func (e *Engine) Lag() int64 { return e.lag.Load() - 1 }
