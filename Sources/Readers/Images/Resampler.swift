internal import CKernels

/// Resamples one picture row by row: horizontally as rows arrive, vertically at the end.
///
/// The order of passes, the 8-bit intermediate and the skipping of a pass whose size stays are
/// Pillow's. Only the rows and columns that the wanted window depends on are touched.
@safe struct Resampler: ~Copyable {
  /// The part of the source that `add` must be given.
  let source: PixelBox
  /// The size of the wanted window.
  let window: PixelBox

  private let horizontal: ResamplingAxis?
  private let vertical: ResamplingAxis?
  private let instructions: ckernels_isa
  /// Bytes from one intermediate row to the next: the window's width, rounded up to whole vectors.
  private let stride: Int
  private let rows: UnsafeMutablePointer<UInt8>

  /// The widest that this CPU has; integers, so all give the same bits.
  private static let bestInstructions =
    [CKERNELS_AVX512, CKERNELS_AVX2].first { ckernels_supports($0) } ?? CKERNELS_BASELINE

  /// Plans the resampling of a picture of `size` to `target`, of which `window` is wanted.
  init(
    filter: ResamplingFilter,
    size: ImageSize,
    target: ImageSize,
    window: PixelBox,
    limits: ImageLimits
  ) throws(ImageError) {
    let horizontal =
      target.width == size.width
      ? nil
      : ResamplingAxis(
        filter: filter,
        inputCount: size.width,
        outputCount: target.width,
        outputs: window.columns
      )
    let vertical =
      target.height == size.height
      ? nil
      : ResamplingAxis(
        filter: filter,
        inputCount: size.height,
        outputCount: target.height,
        outputs: window.rows
      )
    let columns = horizontal?.inputs ?? window.columns
    let lines = vertical?.inputs ?? window.rows
    let stride = (window.width * 4 + 63) / 64 * 64
    guard ImageSize(width: stride / 4, height: lines.count).pixels <= limits.pixels,
      window.size.pixels <= limits.pixels
    else {
      throw ImageError(
        .overLimit,
        "resizing \(size) to \(target) passes the limit of \(limits.pixels) pixels"
      )
    }
    self.horizontal = horizontal
    self.vertical = vertical
    self.window = window
    self.source = PixelBox(
      left: columns.lowerBound,
      top: lines.lowerBound,
      width: columns.count,
      height: lines.count
    )
    self.stride = stride
    self.instructions = Self.bestInstructions
    unsafe rows = .allocate(capacity: stride * lines.count)
  }

  deinit { unsafe rows.deallocate() }

  /// Takes row `y` of `source`; `RGBXImage.slack` bytes behind it must be readable.
  func add(_ y: Int, _ pixels: UnsafePointer<UInt8>) {
    let target = unsafe rows + y * stride
    guard let horizontal else {
      unsafe target.update(from: pixels, count: window.width * 4)
      return
    }
    unsafe horizontal.first.withUnsafeBufferPointer { first in
      unsafe horizontal.weights.withUnsafeBufferPointer { weights in
        var axis = unsafe ckernels_resample_axis(
          outputs: UInt32(first.count),
          taps: UInt32(horizontal.taps),
          first: first.baseAddress,
          weights: weights.baseAddress
        )
        unsafe ckernels_resample_row(instructions, &axis, pixels, target)
      }
    }
  }

  /// The window, once every row of `source` has been added.
  consuming func finish() -> RGBXImage {
    let width = window.width * 4
    return unsafe RGBXImage(width: window.width, height: window.height) { target in
      guard let vertical else {
        for y in 0..<window.height {
          unsafe (target + y * width).update(from: rows + y * stride, count: width)
        }
        return
      }
      unsafe vertical.weights.withUnsafeBufferPointer { weights in
        guard let weights = weights.baseAddress else { return }
        for y in 0..<window.height {
          // Whole vectors are stored: what passes the row's end is overwritten by the next row, or
          // falls into the slack.
          let first = Int(vertical.first[y])
          let taps = min(vertical.taps, source.height - first)
          unsafe ckernels_resample_column(
            instructions,
            weights + y * vertical.taps,
            UInt32(taps),
            rows + first * stride,
            UInt64(stride),
            UInt64(stride),
            target + y * width
          )
        }
      }
    }
  }
}

extension RGBXImage {
  /// The wanted window of this picture, resampled to `target`.
  func resampled(
    _ filter: ResamplingFilter,
    to target: ImageSize,
    window: PixelBox,
    limits: ImageLimits
  ) throws(ImageError) -> RGBXImage {
    let resampler = try Resampler(
      filter: filter,
      size: size,
      target: target,
      window: window,
      limits: limits
    )
    unsafe bytes.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      for y in 0..<resampler.source.height {
        let offset = (resampler.source.top + y) * stride + resampler.source.left * 4
        unsafe resampler.add(y, base + offset)
      }
    }
    return resampler.finish()
  }
}
