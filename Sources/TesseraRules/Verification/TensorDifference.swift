import Foundation
import TesseraCore

/// How far two tensors of one shape are from each other, gathered piece by piece.
package struct TensorDifference: Sendable, Hashable {
  /// The elements compared.
  package private(set) var elements = 0
  /// The elements whose values differ; not-a-number equals not-a-number.
  package private(set) var differing = 0
  /// The greatest distance of two values; infinite where only one of them is finite.
  package private(set) var maximumError = 0.0
  /// The greatest distance over the greater magnitude of the two.
  package private(set) var maximumRelativeError = 0.0
  /// The first element that differs, in row-major order.
  package private(set) var firstDifference: Int?
  /// Whether types and bytes are the same.
  package private(set) var areBytesEqual = true

  /// Starts with nothing compared.
  package init() {}

  /// Compares the next elements of both.
  ///
  /// - Parameters:
  ///   - a: Elements of the first tensor.
  ///   - typeA: Their type.
  ///   - b: As many elements of the second.
  ///   - typeB: Their type.
  ///   - offset: The first element's place in the tensor.
  mutating func add(
    _ a: UnsafeRawBufferPointer,
    _ typeA: ElementType,
    _ b: UnsafeRawBufferPointer,
    _ typeB: ElementType,
    at offset: Int
  ) {
    let count = a.count * 8 / typeA.bitWidth
    elements += count
    if typeA == typeB, unsafe a.count == b.count && memcmpEqual(a, b) { return }
    areBytesEqual = false
    guard NumberBlock.holds(typeA), NumberBlock.holds(typeB),
      NumberBlock.numbersPerElement(typeA) == NumberBlock.numbersPerElement(typeB)
    else {
      note(differing: count, first: offset, error: .infinity, relative: .infinity)
      return
    }
    let parts = NumberBlock.numbersPerElement(typeA)
    let size = 1024
    var (x, y) = ([Double](repeating: 0, count: size), [Double](repeating: 0, count: size))
    for start in stride(from: 0, to: count * parts, by: size) {
      let range = start..<min(start + size, count * parts)
      unsafe NumberBlock.load(a, as: typeA, range, into: &x)
      unsafe NumberBlock.load(b, as: typeB, range, into: &y)
      for slot in 0..<range.count {
        compare(x[slot], y[slot], at: offset + (start + slot) / parts)
      }
    }
    if typeA == typeB, !typeA.isFloatingPoint, differing == 0 {
      // Integers beyond 2^53 whose nearest doubles are the same.
      note(differing: 1, first: offset, error: 1, relative: 0)
    }
  }

  private mutating func compare(_ x: Double, _ y: Double, at index: Int) {
    if x == y || x.isNaN && y.isNaN { return }
    let distance = abs(x - y)
    guard distance.isFinite else {
      return note(differing: 1, first: index, error: .infinity, relative: .infinity)
    }
    note(differing: 1, first: index, error: distance, relative: distance / max(abs(x), abs(y)))
  }

  private mutating func note(differing count: Int, first: Int, error: Double, relative: Double) {
    differing += count
    firstDifference = min(firstDifference ?? first, first)
    maximumError = max(maximumError, error)
    maximumRelativeError = max(maximumRelativeError, relative)
  }
}

/// Whether two runs of as many bytes are the same.
private func memcmpEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
  guard let x = a.baseAddress, let y = b.baseAddress else { return true }
  return unsafe memcmp(x, y, a.count) == 0
}

extension ElementType {
  /// Whether the elements, or their parts, are floating-point numbers.
  fileprivate var isFloatingPoint: Bool {
    switch self {
    case .bool, .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: false
    default: true
    }
  }
}
