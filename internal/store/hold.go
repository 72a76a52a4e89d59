package store

// Hold takes the folder as a server would and returns what gives it back. The
// error is ErrInUse when a server has it.
func Hold(dir string) (release func() error, err error) {
	f, err := lock(dir)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}
