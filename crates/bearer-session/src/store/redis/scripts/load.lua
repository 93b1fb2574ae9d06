if ended then return { 'ended' } end
if not generation then return { 'unknown' } end
return live('live')
