internal import CKernels
import TesseraCore

/// Resamples one picture whose rows arrive one by one.
///
/// Pass order, 8-bit intermediate and the skipping of a pass whose size stays are Pillow's. The
/// horizontal pass comes first, and is done as rows arrive, unless the height shrinks by more than
/// twice as many pixels as the width does (Pillow 13; older versions always start horizontally). Only
/// the rows and columns that the wanted window depends on are touched.
@safe struct Resampler: ~Copyable {
  /// The part of the source that `add` must be given.
  let source: PixelBox
  /// The wanted window of the result.
  let window: PixelBox

  private let horizontal: ResamplingAxis?
  private let vertical: ResamplingAxis?
  private let isHorizontalFirst: Bool
  /// Pixels that are kept of each row that arrives.
  private let keptWidth: Int
  /// Bytes from one kept row to the next: whole vectors.
  private let stride: Int
  private let rows: UnsafeMutablePointer<UInt8>

  /// The widest that this CPU has; integers, so all give the same bits.
  private static let instructions =
    [CKERNELS_AVX512, CKERNELS_AVX2].first { ckernels_supports($0) } ?? CKERNELS_BASELINE

  /// Plans the resampling of a picture of `size` to `target`, of which `window` is wanted.
  init(
    filter: ResamplingFilter,
    size: ImageSize,
    target: ImageSize,
    window: PixelBox,
    limits: ImageLimits
  ) throws(TesseraError) {
    let refusal = TesseraError.picture(
      .overLimit,
      "resizing \(size) to \(target) passes the limit of \(limits.pixels) pixels"
    )
    guard window.size.pixels <= limits.pixels else { throw refusal }
    let horizontal = try Self.axis(
      filter,
      from: size.width,
      to: target.width,
      window.columns,
      limits: limits
    )
    let vertical = try Self.axis(
      filter,
      from: size.height,
      to: target.height,
      window.rows,
      limits: limits
    )
    let columns = horizontal?.inputs ?? window.columns
    let lines = vertical?.inputs ?? window.rows
    let shrinkage = size.height - target.height
    let isHorizontalFirst = shrinkage <= 0 || shrinkage <= 2 * (size.width - target.width)
    let keptWidth = isHorizontalFirst ? window.width : columns.count
    let stride = (keptWidth * 4 + 63) / 64 * 64
    guard ImageSize(width: stride / 4, height: lines.count).pixels <= limits.pixels else {
      throw refusal
    }
    (self.isHorizontalFirst, self.keptWidth, self.stride) = (isHorizontalFirst, keptWidth, stride)
    (self.horizontal, self.vertical, self.window) = (horizontal, vertical, window)
    self.source = PixelBox(
      left: columns.lowerBound,
      top: lines.lowerBound,
      width: columns.count,
      height: lines.count
    )
    unsafe rows = .allocate(capacity: stride * lines.count)
  }

  deinit { unsafe rows.deallocate() }

  /// The pass along one axis; nil where its length stays.
  private static func axis(
    _ filter: ResamplingFilter,
    from input: Int,
    to output: Int,
    _ wanted: Range<Int>,
    limits: ImageLimits
  ) throws(TesseraError) -> ResamplingAxis? {
    if input == output { return nil }
    return try ResamplingAxis(
      filter: filter,
      inputCount: input,
      outputCount: output,
      outputs: wanted,
      limits: limits
    )
  }

  /// Takes row `y` of `source`; `RGBXImage.slack` bytes behind it must be readable.
  func add(_ y: Int, _ pixels: UnsafePointer<UInt8>) {
    let target = unsafe rows + y * stride
    if isHorizontalFirst {
      unsafe resampleRow(pixels, into: target)
    } else {
      unsafe target.update(from: pixels, count: keptWidth * 4)
    }
  }

  /// The window, once every row of `source` has been added.
  consuming func finish() -> RGBXImage {
    let columns = unsafe RGBXImage(width: keptWidth, height: window.height) { target in
      for y in 0..<window.height {
        unsafe resampleColumns(y, into: target + y * keptWidth * 4)
      }
    }
    if isHorizontalFirst { return columns }
    return unsafe RGBXImage(width: window.width, height: window.height) { target in
      unsafe columns.bytes.withUnsafeBufferPointer { bytes in
        guard let bytes = bytes.baseAddress else { return }
        for y in 0..<window.height {
          unsafe resampleRow(bytes + y * keptWidth * 4, into: target + y * window.width * 4)
        }
      }
    }
  }

  private func resampleRow(
    _ pixels: UnsafePointer<UInt8>,
    into target: UnsafeMutablePointer<UInt8>
  ) {
    guard let horizontal else {
      unsafe target.update(from: pixels, count: window.width * 4)
      return
    }
    unsafe horizontal.first.withUnsafeBufferPointer { first in
      unsafe horizontal.weights.withUnsafeBufferPointer { weights in
        unsafe horizontal.digits.withUnsafeBufferPointer { digits in
          var axis = unsafe ckernels_resample_axis(
            outputs: UInt32(first.count),
            taps: UInt32(horizontal.taps),
            first: first.baseAddress,
            weights: weights.baseAddress,
            digits: digits.baseAddress
          )
          unsafe ckernels_resample_row(Self.instructions, &axis, pixels, target)
        }
      }
    }
  }

  /// One row of the vertical pass.
  ///
  /// Whole vectors are stored: what passes the row's end is overwritten by the next row, or falls into
  /// the slack.
  private func resampleColumns(_ y: Int, into target: UnsafeMutablePointer<UInt8>) {
    guard let vertical else {
      unsafe target.update(from: rows + y * stride, count: keptWidth * 4)
      return
    }
    unsafe vertical.weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      let first = Int(vertical.first[y])
      let taps = min(vertical.taps, source.height - first)
      unsafe ckernels_resample_column(
        Self.instructions,
        weights + y * vertical.taps,
        UInt32(taps),
        rows + first * stride,
        UInt64(stride),
        UInt64(stride),
        target
      )
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
  ) throws(TesseraError) -> RGBXImage {
    guard filter.isPillow else {
      guard window.size.pixels <= limits.pixels else {
        throw TesseraError.picture(.overLimit, "resizing to \(target) passes the limit of pixels")
      }
      if target == size { return cut(window) }
      return OpenCVResampling.resampled(self, to: target, window: window)
    }
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
