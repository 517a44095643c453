package sim

// agenda is a heap of players by when they act or tell something next; of two at the same moment the lower number goes
// first, so that the order is the same everywhere.
type agenda []*player

// due is when the player acts or tells something next.
func (p *player) due() int64 {
	if p.head < len(p.queue) {
		return p.queue[p.head].at
	}
	if p.plotAt > 0 && p.plotAt < p.wake {
		return p.plotAt
	}
	return p.wake
}

func (a *agenda) less(i, j int) bool {
	p, q := (*a)[i], (*a)[j]
	x, y := p.due(), q.due()
	return x < y || x == y && p.idx < q.idx
}

func (a *agenda) init() {
	for i := len(*a)/2 - 1; i >= 0; i-- {
		a.down(i)
	}
	for i, p := range *a {
		p.place = int32(i)
	}
}

// fix puts a player where it belongs after its time has changed while it was not the first.
func (a *agenda) fix(p *player) {
	i := int(p.place)
	if i >= len(*a) || (*a)[i] != p {
		return // gone for good
	}
	for i > 0 {
		parent := (i - 1) / 2
		if !a.less(i, parent) {
			break
		}
		a.swap(i, parent)
		i = parent
	}
	a.down(int(p.place))
}

func (a *agenda) swap(i, j int) {
	h := *a
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i), int32(j)
}

// settle puts the first player where it belongs after its time has changed.
func (a *agenda) settle() { a.down(0) }

// drop takes the first player out for good.
func (a *agenda) drop() {
	old := *a
	n := len(old) - 1
	old[0], old[n] = old[n], nil
	*a = old[:n]
	if n > 0 {
		(*a)[0].place = 0
	}
	a.down(0)
}

func (a *agenda) down(i int) {
	h := *a
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if right := child + 1; right < len(h) && a.less(right, child) {
			child = right
		}
		if !a.less(child, i) {
			return
		}
		a.swap(i, child)
		i = child
	}
}

// later is a heap of events that come by themselves, long after what caused them.
type later []*told

func (t *told) before(o *told) bool { return t.at < o.at || t.at == o.at && t.order < o.order }

// push adds an event. Events are pushed in the order of the stream, which is the order of ties.
func (l *later) push(t *told, order uint64) {
	t.order = order
	*l = append(*l, t)
	h := *l
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (l *later) pop() *told {
	h := *l
	first, n := h[0], len(h)-1
	h[0], h[n] = h[n], nil
	h = h[:n]
	*l = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return first
		}
		if right := child + 1; right < n && h[right].before(h[child]) {
			child = right
		}
		if !h[child].before(h[i]) {
			return first
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
