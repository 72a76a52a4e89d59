package h2

import "golang.org/x/net/http2"

// MaxStreams is how many streams a peer may have open at once.
const MaxStreams = 250

// remote is what the peer has told of itself (RFC 9113 §6.5.2).
type remote struct {
	window  int    // of new streams
	streams uint32 // that may be opened
}

func newRemote() remote {
	return remote{window: defaultWindow, streams: 100}
}

// settings takes the peer's. Many in a frame cost the streams no more than one.
func (c *Conn) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.greeted = true
	next := c.remote
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingHeaderTableSize:
			c.out.encoder.SetMaxDynamicTableSize(min(s.Val, tableSize))
		case http2.SettingInitialWindowSize:
			next.window = int(s.Val)
		case http2.SettingMaxConcurrentStreams:
			next.streams = s.Val
		}
		return nil
	})
	if err != nil {
		return err
	}
	more := next.window - c.remote.window
	c.remote = next
	for _, s := range c.streams {
		if !s.send.add(more) {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		s.wake.Broadcast()
	}
	c.own(c.out.framer.WriteSettingsAck())
	return nil
}
