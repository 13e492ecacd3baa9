// Convolutions that are one product: 1x1, and larger kernels of any stride over a padded copy of a few rows.

static void NAME(convolve_1x1)(const ckernels_convolution *c, const float *input, float *output,
                               bool accumulate) {
  const ptrdiff_t positions = c->height * c->width, here = 0;
  multiply(&(product_type){
      .left = input, .rows = positions, .line = positions, .row_stride = LANES,
      .taps = &here, .tap_count = 1, .channels = c->in_channels, .block_stride = positions * LANES,
      .right = c->weights, .bias = c->bias, .output = output,
      .columns = blocks_of(c->out_channels) * LANES, .output_block = positions * LANES,
      .accumulate = accumulate});
}

/// Copies the rows `top ..< top + rows` and columns `-padding ..< columns - padding` of one block, with
/// zeros where they lie outside the image.
static void NAME(copy_padded)(ptrdiff_t height, ptrdiff_t width, ptrdiff_t top, ptrdiff_t rows,
                              ptrdiff_t columns, ptrdiff_t padding, const float *input,
                              float *output) {
  const size_t pixel = LANES * sizeof(float);
  const ptrdiff_t inside = smaller(width, columns - padding);
  for (ptrdiff_t row = 0; row < rows; ++row, output += columns * LANES) {
    const ptrdiff_t y = top + row;
    if (y < 0 || y >= height) {
      memset(output, 0, (size_t)columns * pixel);
      continue;
    }
    memset(output, 0, (size_t)padding * pixel);
    memcpy(output + padding * LANES, input + y * width * LANES, (size_t)inside * pixel);
    memset(output + (padding + inside) * LANES, 0, (size_t)(columns - padding - inside) * pixel);
  }
}

static void NAME(convolve_direct)(const ckernels_convolution *c, const ckernels_window *window,
                                  const float *input, float *output, bool accumulate,
                                  float *scratch) {
  const ptrdiff_t extent = window->extent, stride = window->stride, padding = window->padding;
  const ptrdiff_t rows = window->rows, columns = window->columns;
  const ptrdiff_t strip = strip_rows(columns), width = (columns - 1) * stride + extent;
  const ptrdiff_t plane = ((strip - 1) * stride + extent) * width * LANES;
  ptrdiff_t taps[LARGEST_WINDOW * LARGEST_WINDOW];
  for (ptrdiff_t tap = 0; tap < extent * extent; ++tap)
    taps[tap] = (tap / extent * width + tap % extent) * LANES;
  for (ptrdiff_t row = 0; row < rows; row += strip) {
    const ptrdiff_t count = smaller(strip, rows - row);
    for (ptrdiff_t block = 0; block < blocks_of(c->in_channels); ++block)
      NAME(copy_padded)(c->height, c->width, row * stride - padding, (count - 1) * stride + extent,
                        width, padding, input + block * c->height * c->width * LANES,
                        scratch + block * plane);
    multiply(&(product_type){
        .left = scratch, .rows = count * columns, .line = columns,
        .line_stride = stride * width * LANES, .row_stride = stride * LANES,
        .taps = taps, .tap_count = extent * extent, .channels = c->in_channels,
        .block_stride = plane, .right = c->weights, .bias = c->bias,
        .output = output + row * columns * LANES, .columns = blocks_of(c->out_channels) * LANES,
        .output_block = rows * columns * LANES, .accumulate = accumulate});
  }
}
