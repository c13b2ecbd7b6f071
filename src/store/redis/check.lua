-- A write, because a full disk or memory can still be read; and what the clock says.
redis.call('SET', KEYS[1], '1', 'PX', 60000)
return redis.call('TIME')
