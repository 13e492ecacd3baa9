import TesseraCore
import Testing

@Suite struct WideningTests {
  @Test func `every half equals the processor's own conversion`() {
    for bits in UInt16.min...UInt16.max {
      let expected = Float(Float16(bitPattern: bits))
      let actual = Float(half: bits)
      // A signalling NaN keeps its payload here and turns quiet in hardware.
      #expect(actual.isNaN ? expected.isNaN : actual.bitPattern == expected.bitPattern)
    }
  }

  @Test func `bfloat16 is the upper half of float32`() throws {
    let tensor = Tensor(shape: [4], elements: [UInt16(0x3F80), 0xC049, 0x0001, 0xFF80])
    let halves = Tensor(elementType: .bfloat16, shape: [4], bytes: tensor.bytes)
    #expect(try halves.floats() == [1, -3.140625, 0x1p-133, -.infinity])
  }

  @Test func `wide values pass where float32 holds them`() throws {
    #expect(try Tensor(shape: [3], elements: [1.5, -0x1p100, 0.0]).floats() == [1.5, -0x1p100, 0])
    #expect(try Tensor(shape: [1], elements: [Double.nan]).floats()[0].isNaN)
    #expect(try Tensor(shape: [1], elements: [Int32(1 << 24)]).floats() == [0x1p24])
    #expect(try Tensor(shape: [1], elements: [Int64.min]).floats() == [-0x1p63])
    #expect(
      try Tensor(elementType: .uint64, shape: [1], bytes: [0, 0, 0, 0, 0, 0, 0, 0x80]).floats()
        == [0x1p63]
    )
    #expect(try Tensor(elementType: .int8, shape: [2], bytes: [0xFF, 2]).floats() == [-1, 2])
  }

  @Test func `the first value that float32 rounds is named`() {
    let error = #expect(throws: TesseraError.self) {
      try Tensor(shape: [3], elements: [1, 0.1, 0.2]).floats()
    }
    #expect(error?.cause.hasPrefix("element 1 of type F64") == true)
    #expect(throws: TesseraError.self) {
      try Tensor(shape: [1], elements: [Int32(1 << 24) + 1]).floats()
    }
  }

  @Test func `complex values have no float32`() {
    let tensor = Tensor(elementType: .complex64, shape: [0], bytes: [])
    #expect(throws: TesseraError.self) { try tensor.floats() }
  }

  @Test func `integers of every width keep their values`() {
    #expect(Tensor(elementType: .int8, shape: [2], bytes: [0xFF, 2]).integers() == [-1, 2])
    #expect(Tensor(elementType: .int16, shape: [1], bytes: [0, 0x80]).integers() == [-32_768])
    #expect(Tensor(shape: [2], elements: [UInt32.max, 1]).integers() == [4_294_967_295, 1])
    #expect(Tensor(shape: [1], elements: [Int64.min]).integers() == [.min])
    #expect(Tensor(shape: [1], elements: [UInt64(Int.max)]).integers() == [.max])
    #expect(Tensor(shape: [1], elements: [UInt64(Int.max) + 1]).integers() == nil)
    #expect(Tensor(shape: [1], elements: [Float(1)]).integers() == nil)
  }
}
