import TesseraCore
import Testing

@Suite struct ShapeTests {
  @Test func `the element count is a checked product`() {
    #expect(Shape([3, 4, 5]).elementCount == 60)
    #expect(Shape([]).elementCount == 1)
    #expect(Shape([Int.max, 2]).elementCount == nil)
    #expect(Shape([Int.max, Int.max, 0]).elementCount == 0)
  }

  @Test func `six-bit elements must fill whole bytes`() {
    #expect(ElementType.float6E2M3.byteCount(elements: 4) == 3)
    #expect(ElementType.float6E2M3.byteCount(elements: 3) == nil)
  }
}
