package models

// The steps of splits whose feature was tested above. They have factors of their own, and their children are leaves or
// steps: there are few of them in most models.

func (k *kernel) twoLeavesRepeated(steps []step) {
	bins, states, phi, width := k.bins, k.states, k.phi, k.width
	for i := range steps {
		s := &steps[i]
		f := &k.factors[k.rows[s.repeat-1]]
		t := s.twig.test.right(bins)
		v, slope := s.twig.v[t], s.twig.slope[t]
		p := &states[s.at]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			s0 += float64(p[e] * f.b[e])
			p[e] = v + float64(slope*f.a[e])
			s1 += float64(p[o] * f.b[o])
			p[o] = v + float64(slope*f.a[o])
		}
		phi[s.twig.feature] -= float64(slope * (s0 + s1))
	}
}

func (k *kernel) downInnerLeafRepeated(steps []step) {
	bins, states, width := k.bins, k.states, k.width
	for i := range steps {
		s := &steps[i]
		f := &k.factors[k.rows[s.repeat-1]]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l := &states[s.at], &states[s.left]
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			l[e] = float64(p[e] * (b + float64(g*f.a[e])))
			l[o] = float64(p[o] * (b + float64(g*f.a[o])))
		}
	}
}

func (k *kernel) upInnerLeafRepeated(steps []step) {
	bins, states, phi, width := k.bins, k.states, k.phi, k.width
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		f := &k.factors[k.rows[s.repeat-1]]
		side := s.test.right(bins)
		g, b, leaf := s.g[side], s.b[side], s.leaf
		p, l := &states[s.at], &states[s.left]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			d := l[e] - leaf
			s0 += float64(float64(p[e]*f.b[e]) * d)
			p[e] = leaf + float64((b+float64(g*f.a[e]))*d)
			d = l[o] - leaf
			s1 += float64(float64(p[o]*f.b[o]) * d)
			p[o] = leaf + float64((b+float64(g*f.a[o]))*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
	}
}

func (k *kernel) downInnerInnerRepeated(steps []step) {
	bins, states, width := k.bins, k.states, k.width
	for i := range steps {
		s := &steps[i]
		f := &k.factors[k.rows[s.repeat-1]]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l, r := &states[s.at], &states[s.left], &states[s.right]
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			x := float64(p[e] * (b + float64(g*f.a[e])))
			l[e], r[e] = x, p[e]-x
			x = float64(p[o] * (b + float64(g*f.a[o])))
			l[o], r[o] = x, p[o]-x
		}
	}
}

func (k *kernel) upInnerInnerRepeated(steps []step) {
	bins, states, phi, width := k.bins, k.states, k.phi, k.width
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		f := &k.factors[k.rows[s.repeat-1]]
		side := s.test.right(bins)
		g, b := s.g[side], s.b[side]
		p, l, r := &states[s.at], &states[s.left], &states[s.right]
		s0, s1 := 0.0, 0.0
		for q := 0; q < width; q += 2 {
			e, o := q&6, q&6+1
			d := l[e] - r[e]
			s0 += float64(float64(p[e]*f.b[e]) * d)
			p[e] = r[e] + float64((b+float64(g*f.a[e]))*d)
			d = l[o] - r[o]
			s1 += float64(float64(p[o]*f.b[o]) * d)
			p[o] = r[o] + float64((b+float64(g*f.a[o]))*d)
		}
		phi[s.feature] -= float64(g * (s0 + s1))
	}
}
