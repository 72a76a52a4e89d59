package store

func (s *space) admit(requests []*request) error { return nil }

type space struct{}
