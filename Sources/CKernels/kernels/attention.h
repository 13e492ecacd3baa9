// Attention of all positions to all positions, a few queries at a time.

/// Keys [channels / 16][tokens][16] to panels [tokens / 32][channels][32]; zeros beyond the last token.
static void NAME(pack_keys)(ptrdiff_t tokens, ptrdiff_t channels, const float *keys,
                            float *packed) {
  for (ptrdiff_t first = 0; first < tokens; first += PANEL)
    for (ptrdiff_t c = 0; c < channels; ++c, packed += PANEL) {
      const float *from = keys + c / LANES * tokens * LANES + c % LANES;
      for (ptrdiff_t i = 0; i < PANEL; ++i)
        packed[i] = first + i < tokens ? from[(first + i) * LANES] : 0.0f;
    }
}

/// Values [channels / 16][tokens][16] to panels [channels / 32][tokens][32].
static void NAME(pack_values)(ptrdiff_t tokens, ptrdiff_t channels, const float *values,
                              float *packed) {
  const ptrdiff_t blocks = blocks_of(channels);
  for (ptrdiff_t block = 0; block < blocks; ++block) {
    float *to = packed + block / 2 * tokens * PANEL + block % 2 * LANES;
    const float *from = values + block * tokens * LANES;
    for (ptrdiff_t token = 0; token < tokens; ++token)
      memcpy(to + token * PANEL, from + token * LANES, LANES * sizeof(float));
  }
}

/// Softmax over the keys of one query: scores [keys / 16][rows][16], of which row `scores` points to.
static void NAME(softmax)(ptrdiff_t tokens, ptrdiff_t rows, float scale, float *scores) {
  const ptrdiff_t blocks = blocks_of(tokens), step = rows * LANES;
  // Lanes beyond the last token are made the least of numbers, whose exponential is 0.
  for (ptrdiff_t key = tokens; key < blocks * LANES; ++key)
    scores[key / LANES * step + key % LANES] = -__builtin_inff();
  float lanes[LANES];
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    vector top = -__builtin_inff();
    for (ptrdiff_t block = 0; block < blocks; ++block) {
      vector value = load(scores + block * step + lane) * scale;
      store(scores + block * step + lane, value);
      top = chosen(value > top, value, top);
    }
    store(lanes + lane, top);
  }
  float top = lanes[0];
  for (int i = 1; i < LANES; ++i) top = lanes[i] > top ? lanes[i] : top;
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    vector sums = 0.0f;
    for (ptrdiff_t block = 0; block < blocks; ++block) {
      vector value = exponential_of(load(scores + block * step + lane) - top);
      store(scores + block * step + lane, value);
      sums += value;
    }
    store(lanes + lane, sums);
  }
  float sum = 0;
  for (int i = 0; i < LANES; ++i) sum += lanes[i];
  for (int lane = 0; lane < LANES; lane += WIDTH)
    for (ptrdiff_t block = 0; block < blocks; ++block)
      store(scores + block * step + lane, load(scores + block * step + lane) / sum);
}

static void NAME(attention)(ptrdiff_t tokens, ptrdiff_t channels, const float *qkv, float *output,
                            float *scratch) {
  const ptrdiff_t part = blocks_of(channels) * tokens * LANES, here = 0;
  const ptrdiff_t columns = blocks_of(tokens) * LANES;
  float *keys = scratch, *values = keys + (columns + PANEL - 1) / PANEL * PANEL * channels;
  float *scores = values + (blocks_of(channels) + 1) / 2 * PANEL * tokens;
  const float scale = (float)(1.0 / __builtin_sqrt((double)channels));
  NAME(pack_keys)(tokens, channels, qkv + part, keys);
  NAME(pack_values)(tokens, channels, qkv + 2 * part, values);
  for (ptrdiff_t first = 0; first < tokens; first += QUERIES) {
    const ptrdiff_t rows = smaller(QUERIES, tokens - first);
    multiply(&(product_type){
        .left = qkv + first * LANES, .rows = rows, .line = rows, .row_stride = LANES,
        .taps = &here, .tap_count = 1, .channels = channels, .block_stride = tokens * LANES,
        .right = keys, .output = scores, .columns = columns, .output_block = rows * LANES});
    for (ptrdiff_t row = 0; row < rows; ++row)
      NAME(softmax)(tokens, rows, scale, scores + row * LANES);
    multiply(&(product_type){
        .left = scores, .rows = rows, .line = rows, .row_stride = LANES,
        .taps = &here, .tap_count = 1, .channels = tokens, .block_stride = rows * LANES,
        .right = values, .output = output + first * LANES,
        .columns = blocks_of(channels) * LANES, .output_block = tokens * LANES});
  }
}
