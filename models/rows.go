package models

import "math"

// SampleRows makes n rows for a measurement, the same ones for the same model: each value of a feature that trees test falls with
// equal likelihood between any two neighbours of its thresholds, every sixteenth is missing, categories are small integers. So
// the rows take different ways through the trees, as real ones do; they are not distributed as real ones are. Of a model that
// is no ensemble of trees nothing is known, and values are spread over [-4, 4], none of them missing.
func SampleRows(m Model, n int) [][]float64 {
	if l, ok := m.(*leavesModel); ok {
		m = l.own
	}
	width := len(m.Info().Features)
	values := make([]float64, n*width)
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = values[i*width : (i+1)*width : (i+1)*width]
	}
	e, ok := m.(*ensemble)
	if !ok {
		for i := range values {
			values[i] = float64(mixed(uint64(i))%8001)/1000 - 4
		}
		return rows
	}
	for c := range e.bins.columns {
		col := &e.bins.columns[c]
		cuts := e.bins.cuts[col.cut:col.cutEnd]
		for i, row := range rows {
			row[col.feature] = e.bins.sample(cuts, mixed(uint64(i*width)+uint64(col.feature)))
		}
	}
	return rows
}

// sample makes a value of chance, 64 mixed bits.
func (b *binner) sample(cuts []uint64, chance uint64) float64 {
	which := chance >> 8
	switch {
	case chance%16 == 0:
		return math.NaN()
	case len(cuts) == 0:
		return float64(which % 32) // a category
	}
	k := int(which % uint64(len(cuts)+1))
	var x float64
	switch k {
	case 0:
		x = fromOrderedKey(cuts[0]) - 1
	case len(cuts):
		x = fromOrderedKey(cuts[k-1]) + 1
	default:
		x = float64(fromOrderedKey(cuts[k-1])/2) + float64(fromOrderedKey(cuts[k])/2)
	}
	most := math.MaxFloat64
	if b.single {
		most = math.MaxFloat32
	}
	return min(max(x, -most), most) // a threshold may be infinite
}

// fromOrderedKey is the inverse of orderedKey.
func fromOrderedKey(k uint64) float64 {
	if k>>63 == 0 {
		return math.Float64frombits(^k)
	}
	return math.Float64frombits(k &^ (1 << 63))
}

// mixed is splitmix64's finalizer (Steele, Lea, Flood 2014): neighbours have nothing in common.
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
